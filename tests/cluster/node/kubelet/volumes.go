// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	authv1 "k8s.io/api/authentication/v1"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// volumes: a pod's volumes as folders of files, written once, before the containers start. What a
// volume refers to and is not there yet is an error that the pod's worker shows and tries again;
// later changes of a Secret or ConfigMap reach only pods that start later.

type source struct {
	files map[string][]byte
	mode  os.FileMode
}

func (k *kubelet) fillVolumes(ctx context.Context, pod *v1.Pod, dir string) error {
	for i := range pod.Spec.Volumes {
		v := &pod.Spec.Volumes[i]
		src, err := k.volume(ctx, pod, v)
		if err != nil {
			return fmt.Errorf("volume %q: %w", v.Name, err)
		}
		if err := src.write(filepath.Join(dir, v.Name)); err != nil {
			return fmt.Errorf("volume %q: %w", v.Name, err)
		}
	}
	return nil
}

func (s *source) write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for name, data := range s.files {
		path := filepath.Join(dir, filepath.Join("/", name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, data, s.mode); err != nil {
			return err
		}
	}
	return nil
}

func newSource(mode *int32) *source {
	s := &source{files: map[string][]byte{}, mode: 0o644}
	if mode != nil {
		s.mode = os.FileMode(*mode) & 0o777
	}
	return s
}

func (k *kubelet) volume(ctx context.Context, pod *v1.Pod, v *v1.Volume) (*source, error) {
	switch {
	case v.EmptyDir != nil:
		return newSource(nil), nil
	case v.Secret != nil:
		s := newSource(v.Secret.DefaultMode)
		return s, k.addSecret(ctx, s, pod.Namespace, v.Secret.SecretName, v.Secret.Items,
			isTrue(v.Secret.Optional))
	case v.ConfigMap != nil:
		s := newSource(v.ConfigMap.DefaultMode)
		return s, k.addConfigMap(ctx, s, pod.Namespace, v.ConfigMap.Name, v.ConfigMap.Items,
			isTrue(v.ConfigMap.Optional))
	case v.DownwardAPI != nil:
		s := newSource(v.DownwardAPI.DefaultMode)
		return s, addDownward(s, pod, v.DownwardAPI.Items)
	case v.Projected != nil:
		return k.projected(ctx, pod, v.Projected)
	}
	return nil, fmt.Errorf("is of a kind that this kubelet does not have")
}

func (k *kubelet) projected(ctx context.Context, pod *v1.Pod,
	p *v1.ProjectedVolumeSource) (*source, error) {
	s := newSource(p.DefaultMode)
	for i := range p.Sources {
		var err error
		switch src := &p.Sources[i]; {
		case src.Secret != nil:
			err = k.addSecret(ctx, s, pod.Namespace, src.Secret.Name, src.Secret.Items,
				isTrue(src.Secret.Optional))
		case src.ConfigMap != nil:
			err = k.addConfigMap(ctx, s, pod.Namespace, src.ConfigMap.Name, src.ConfigMap.Items,
				isTrue(src.ConfigMap.Optional))
		case src.DownwardAPI != nil:
			err = addDownward(s, pod, src.DownwardAPI.Items)
		case src.ServiceAccountToken != nil:
			err = k.addToken(ctx, s, pod, src.ServiceAccountToken)
		default:
			err = fmt.Errorf("projects what this kubelet does not have")
		}
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

// addKeys puts all keys, or those that items name under the paths that they name.
func (s *source) addKeys(of string, data map[string][]byte, items []v1.KeyToPath,
	optional bool) error {
	if len(items) == 0 {
		for key, value := range data {
			s.files[key] = value
		}
		return nil
	}
	for _, item := range items {
		value, ok := data[item.Key]
		if !ok && !optional {
			return fmt.Errorf("%s has no key %q", of, item.Key)
		}
		if ok {
			s.files[item.Path] = value
		}
	}
	return nil
}

func (k *kubelet) addSecret(ctx context.Context, s *source, ns, name string, items []v1.KeyToPath,
	optional bool) error {
	secret, err := k.client.CoreV1().Secrets(ns).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && optional {
		return nil
	}
	if err != nil {
		return err
	}
	return s.addKeys("Secret "+name, secret.Data, items, optional)
}

func configMapData(c *v1.ConfigMap) map[string][]byte {
	data := map[string][]byte{}
	for key, value := range c.Data {
		data[key] = []byte(value)
	}
	for key, value := range c.BinaryData {
		data[key] = value
	}
	return data
}

func (k *kubelet) addConfigMap(ctx context.Context, s *source, ns, name string,
	items []v1.KeyToPath, optional bool) error {
	c, err := k.client.CoreV1().ConfigMaps(ns).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && optional {
		return nil
	}
	if err != nil {
		return err
	}
	return s.addKeys("ConfigMap "+name, configMapData(c), items, optional)
}

func (k *kubelet) addToken(ctx context.Context, s *source, pod *v1.Pod,
	p *v1.ServiceAccountTokenProjection) error {
	request := &authv1.TokenRequest{Spec: authv1.TokenRequestSpec{
		ExpirationSeconds: p.ExpirationSeconds,
		BoundObjectRef: &authv1.BoundObjectReference{
			APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID,
		},
	}}
	if p.Audience != "" {
		request.Spec.Audiences = []string{p.Audience}
	}
	answer, err := k.client.CoreV1().ServiceAccounts(pod.Namespace).CreateToken(ctx,
		pod.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	s.files[p.Path] = []byte(answer.Status.Token)
	return nil
}

func addDownward(s *source, pod *v1.Pod, items []v1.DownwardAPIVolumeFile) error {
	for _, item := range items {
		if item.FieldRef == nil {
			return fmt.Errorf("%q: only fieldRef is known", item.Path)
		}
		value, err := podField(pod, item.FieldRef.FieldPath, nil)
		if err != nil {
			return err
		}
		s.files[item.Path] = []byte(value)
	}
	return nil
}

// mountsOf: what a container sees of the volumes in dir.
func mountsOf(c *v1.Container, dir string) ([]mount, error) {
	var out []mount
	for _, m := range c.VolumeMounts {
		if m.SubPathExpr != "" {
			return nil, fmt.Errorf("volume %q: subPathExpr is not known", m.Name)
		}
		path := filepath.Join(dir, m.Name, filepath.Join("/", m.SubPath)) // it cannot climb out
		if _, err := os.Stat(path); err != nil {
			if err := os.MkdirAll(path, 0o755); err != nil {
				return nil, err
			}
		}
		out = append(out, mount{Source: path, Target: m.MountPath, ReadOnly: m.ReadOnly})
	}
	return out, nil
}

func isTrue(b *bool) bool { return b != nil && *b }
