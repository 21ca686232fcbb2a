package tui

import (
	"context"
	"errors"
)

var errSynced = errors.New("all rows are here")

// fetchRows asks once for the objects of a type.
func fetchRows(u *ui, q RowQuery, done func([]Row)) {
	fetch(u, func(ctx context.Context) ([]Row, error) {
		var rows []Row
		err := u.session.WatchRows(ctx, q, func(b RowBatch) error {
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
	}, func(rows []Row, err error) {
		if err == nil {
			done(rows)
		}
	})
}
