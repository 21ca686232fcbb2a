package tui

import (
	"context"
	"errors"

	"bonsai/bootstrap/kube"
)

var errSynced = errors.New("all rows are here")

// fetchRows asks once for the objects of a type.
func fetchRows(u *ui, q kube.RowQuery, done func([]kube.Row)) {
	fetch(u, func(ctx context.Context) ([]kube.Row, error) {
		var rows []kube.Row
		err := u.session.WatchRows(ctx, q, func(b kube.RowBatch) error {
			rows = append(rows, b.Set...)
			if b.Synced {
				return errSynced
			}
			return nil
		})
		if errors.Is(err, errSynced) {
			err = nil
		}
		return rows, err
	}, func(rows []kube.Row, err error) {
		if err == nil {
			done(rows)
		}
	})
}
