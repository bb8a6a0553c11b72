// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// env: a container's environment and arguments: literals, fields of the pod, keys of Secrets and
// ConfigMaps, and $(NAME) references to what stands earlier.

const defaultPath = "/bin:/usr/bin:/"

func (k *kubelet) environment(ctx context.Context, pod *v1.Pod, c *v1.Container,
	s *sandbox) (map[string]string, error) {
	env := map[string]string{"PATH": defaultPath, "HOSTNAME": pod.Name}
	for i := range c.EnvFrom {
		if err := k.envFrom(ctx, pod.Namespace, &c.EnvFrom[i], env); err != nil {
			return nil, err
		}
	}
	for i := range c.Env {
		e := &c.Env[i]
		value, found, err := k.envValue(ctx, pod, e, s, env)
		if err != nil {
			return nil, fmt.Errorf("env %s: %w", e.Name, err)
		}
		if found {
			env[e.Name] = value
		}
	}
	return env, nil
}

func (k *kubelet) envFrom(ctx context.Context, ns string, from *v1.EnvFromSource,
	env map[string]string) error {
	s := newSource(nil)
	var err error
	switch {
	case from.ConfigMapRef != nil:
		ref := from.ConfigMapRef
		err = k.addConfigMap(ctx, s, ns, ref.Name, nil, isTrue(ref.Optional))
	case from.SecretRef != nil:
		ref := from.SecretRef
		err = k.addSecret(ctx, s, ns, ref.Name, nil, isTrue(ref.Optional))
	}
	for key, value := range s.files {
		env[from.Prefix+key] = string(value)
	}
	return err
}

func (k *kubelet) envValue(ctx context.Context, pod *v1.Pod, e *v1.EnvVar, s *sandbox,
	env map[string]string) (value string, found bool, err error) {
	core := k.client.CoreV1()
	switch from := e.ValueFrom; {
	case from == nil:
		return expand(e.Value, env), true, nil
	case from.FieldRef != nil:
		value, err = podField(pod, from.FieldRef.FieldPath, s)
		return value, true, err
	case from.ConfigMapKeyRef != nil:
		ref := from.ConfigMapKeyRef
		c, err := core.ConfigMaps(pod.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
		if err != nil {
			return "", false, unlessOptional(err, ref.Optional)
		}
		return keyOf(configMapData(c), ref.Key, ref.Optional)
	case from.SecretKeyRef != nil:
		ref := from.SecretKeyRef
		secret, err := core.Secrets(pod.Namespace).Get(ctx, ref.Name, metav1.GetOptions{})
		if err != nil {
			return "", false, unlessOptional(err, ref.Optional)
		}
		return keyOf(secret.Data, ref.Key, ref.Optional)
	}
	return "", false, fmt.Errorf("comes from what this kubelet does not have")
}

func unlessOptional(err error, optional *bool) error {
	if apierrors.IsNotFound(err) && isTrue(optional) {
		return nil
	}
	return err
}

func keyOf(data map[string][]byte, key string, optional *bool) (string, bool, error) {
	value, ok := data[key]
	if !ok && !isTrue(optional) {
		return "", false, fmt.Errorf("no key %q", key)
	}
	return string(value), ok, nil
}

// podField: the field paths of the downward API.
func podField(pod *v1.Pod, path string, s *sandbox) (string, error) {
	if name, key, found := strings.Cut(path, "['"); found {
		key = strings.TrimSuffix(key, "']")
		switch name {
		case "metadata.labels":
			return pod.Labels[key], nil
		case "metadata.annotations":
			return pod.Annotations[key], nil
		}
	}
	switch path {
	case "metadata.name":
		return pod.Name, nil
	case "metadata.namespace":
		return pod.Namespace, nil
	case "metadata.uid":
		return string(pod.UID), nil
	case "spec.nodeName":
		return pod.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.hostIP":
		return pod.Status.HostIP, nil
	}
	if s != nil && path == "status.podIP" {
		return s.ip4.String(), nil
	}
	if s != nil && path == "status.podIPs" {
		return s.ip4.String() + "," + s.ip6.String(), nil
	}
	return "", fmt.Errorf("no field %q", path)
}

// expand replaces $(NAME) by what stands in env; $$ is one dollar, unknown names stay as they are.
func expand(text string, env map[string]string) string {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		rest := text[i:]
		if strings.HasPrefix(rest, "$$") {
			out.WriteByte('$')
			i++
			continue
		}
		if strings.HasPrefix(rest, "$(") {
			if end := strings.IndexByte(rest, ')'); end > 0 {
				if value, ok := env[rest[2:end]]; ok {
					out.WriteString(value)
					i += end
					continue
				}
			}
		}
		out.WriteByte(text[i])
	}
	return out.String()
}
