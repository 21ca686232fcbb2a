package tui

import (
	"context"
	"errors"
	"slices"

	"bonsai/bootstrap/kube"
	"bonsai/tui/model"
	"bonsai/tui/paint"
)

// fetchService asks once for a Service; nil is none of that name.
func fetchService(u *ui, namespace, name string, done func(*kube.ServiceLine, error)) {
	fetch(u, func(ctx context.Context) (*kube.ServiceLine, error) {
		var found *kube.ServiceLine
		err := u.session.Services(ctx, func(lines []kube.ServiceLine) error {
			if i := slices.IndexFunc(lines, func(l kube.ServiceLine) bool { return l.Namespace == namespace && l.Name == name }); i >= 0 {
				l := lines[i]
				found = &l
			}
			return errSynced
		})
		if errors.Is(err, errSynced) {
			err = nil
		}
		return found, err
	}, func(l *kube.ServiceLine, err error) {
		if l != nil {
			model.CleanService(l, paint.Clean)
		}
		done(l, err)
	})
}
