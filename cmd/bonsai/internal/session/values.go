package session

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"bonsai/bootstrap/fault"
	"bonsai/bootstrap/kube"
)

// longestValue is how much of a value is sent: people read it.
const longestValue = 64 << 10

// Values are the entries of a Secret or ConfigMap, by their keys. Those of a Secret have only their sizes unless reveal is set.
func (s *Session) Values(ctx context.Context, ref kube.Ref, reveal bool) ([]kube.Value, error) {
	op := "read the values of " + name(ref)
	ctx, cancel := s.limit(ctx, callLimit, "an answer from the API server")
	defer cancel()
	c, err := s.api()
	if err != nil {
		return nil, err
	}
	o, err := s.get(ctx, c, op, ref)
	if err != nil {
		return nil, err
	}
	secret := ref.Type.Resource == "secrets"
	if !secret && ref.Type.Resource != "configmaps" {
		return nil, fault.Newf(fault.Usage, "%s: only Secrets and ConfigMaps have values", op)
	}
	all := map[string][]byte{}
	for _, field := range []struct {
		name    string
		encoded bool
	}{{"data", secret}, {"binaryData", true}} {
		list, _ := o.Object[field.name].(map[string]any)
		for k, v := range list {
			text, _ := v.(string)
			if !field.encoded {
				all[k] = []byte(text)
				continue
			}
			data, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				return nil, fmt.Errorf("%s: key %s is not base64: %w", op, k, err)
			}
			all[k] = data
		}
	}
	list := make([]kube.Value, 0, len(all))
	for _, k := range slices.Sorted(maps.Keys(all)) {
		list = append(list, valueOf(k, all[k], secret && !reveal))
	}
	return list, nil
}

func valueOf(key string, data []byte, hidden bool) kube.Value {
	v := kube.Value{Key: key, Size: len(data), Hidden: hidden}
	switch {
	case hidden:
	case !utf8.Valid(data):
		v.Binary = true
	default:
		v.Text = string(data[:min(len(data), longestValue)])
	}
	return v
}
