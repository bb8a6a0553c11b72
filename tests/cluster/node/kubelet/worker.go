// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// worker: one pod's life, in one goroutine: bound to the node, given a network and its volumes,
// started, reported, and when its object carries a deletionTimestamp, asked to end, killed when its
// grace is over, taken down and deleted for good. The API server may be away at any moment: what
// runs goes on running, and what could not be written is written later.

const retryTime = 250 * time.Millisecond

type worker struct {
	k    *kubelet
	dir  string
	wake chan struct{}

	mu         sync.Mutex
	pod        *v1.Pod // as the API server has it
	gone       bool    // the API server has it no more
	began      metav1.Time
	box        *sandbox
	containers []*container
	reason     string // why it does not start
	message    string
	written    string // resourceVersion over which a status was written last
}

func newWorker(k *kubelet, pod *v1.Pod) *worker {
	return &worker{
		k: k, pod: pod, wake: make(chan struct{}, 1), began: metav1.Now().Rfc3339Copy(),
		dir: filepath.Join(k.dir, string(pod.UID)),
	}
}

func (w *worker) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// update takes a newer state of the object; nil: it is gone.
func (w *worker) update(pod *v1.Pod) {
	w.mu.Lock()
	if pod == nil {
		w.gone = true
	} else {
		w.pod = pod
	}
	w.mu.Unlock()
	w.poke()
}

func (w *worker) latest() (pod *v1.Pod, ending bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pod, w.gone || w.pod.DeletionTimestamp != nil
}

func (w *worker) find(name string) *container {
	for _, c := range w.containers {
		if c.spec.Name == name {
			return c
		}
	}
	return nil
}

func (w *worker) container(name string) *container {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.find(name)
}

// pause waits for news, at most for the given time; it says whether the kubelet goes on.
func (w *worker) pause(ctx context.Context, most time.Duration) bool {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-w.wake:
	case <-timer.C:
	}
	return true
}

func (w *worker) run(ctx context.Context) {
	defer w.takeDown()
	started := false
	for ctx.Err() == nil {
		if _, ending := w.latest(); ending {
			w.terminate(ctx)
			return
		}
		again := time.Hour
		if !started {
			err := w.start(ctx)
			if started = err == nil; !started {
				again = retryTime
			}
			w.explain(err)
		}
		if !w.report(ctx) {
			again = retryTime
		}
		w.pause(ctx, again)
	}
}

func (w *worker) explain(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reason, w.message = "", ""
	if err != nil {
		w.reason, w.message = "CreateContainerConfigError", err.Error()
	}
}

func (w *worker) start(ctx context.Context) error {
	pod, _ := w.latest()
	if pod.Spec.NodeName == "" {
		return w.bind(ctx, pod)
	}
	if err := unsupported(pod); err != nil {
		return err
	}
	for i := range pod.Spec.Containers {
		if _, err := w.k.images.find(pod.Spec.Containers[i].Image); err != nil {
			return err
		}
	}
	volumes := filepath.Join(w.dir, "volumes")
	if err := w.k.fillVolumes(ctx, pod, volumes); err != nil {
		return err
	}
	if w.box == nil {
		box, err := w.k.net.open()
		if err != nil {
			return err
		}
		w.mu.Lock()
		w.box = box
		w.mu.Unlock()
	}
	var made []*container
	for i := range pod.Spec.Containers {
		c, err := w.prepare(ctx, pod, &pod.Spec.Containers[i], volumes)
		if err != nil {
			return fmt.Errorf("container %s: %w", pod.Spec.Containers[i].Name, err)
		}
		made = append(made, c)
	}
	w.mu.Lock()
	w.containers = made
	w.mu.Unlock()
	for _, c := range made {
		go c.supervise()
	}
	return nil
}

var errBinding = errors.New("is being bound to the node")

// bind is the scheduler's work; the object comes back with its node.
func (w *worker) bind(ctx context.Context, pod *v1.Pod) error {
	binding := &v1.Binding{
		ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace, UID: pod.UID},
		Target:     v1.ObjectReference{Kind: "Node", Name: w.k.node},
	}
	err := w.k.client.CoreV1().Pods(pod.Namespace).Bind(ctx, binding, metav1.CreateOptions{})
	if err != nil && !apierrors.IsConflict(err) {
		return err
	}
	return errBinding
}

func (w *worker) prepare(ctx context.Context, pod *v1.Pod, spec *v1.Container,
	volumes string) (*container, error) {
	env, err := w.k.environment(ctx, pod, spec, w.box)
	if err != nil {
		return nil, err
	}
	mounts, err := mountsOf(spec, volumes)
	if err != nil {
		return nil, err
	}
	im, err := w.k.images.find(spec.Image)
	if err != nil {
		return nil, err
	}
	root, logs := filepath.Join(w.dir, "root-"+spec.Name), filepath.Join(w.dir, "logs")
	for _, dir := range []string{root, logs} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	c := &container{
		spec: spec, policy: pod.Spec.RestartPolicy, box: w.box, logs: logs, changed: w.poke,
		stopping: make(chan struct{}), done: make(chan struct{}),
	}
	for i := range pod.Status.ContainerStatuses {
		if cs := &pod.Status.ContainerStatuses[i]; cs.Name == spec.Name && cs.ContainerID != "" {
			c.restarts = cs.RestartCount + 1
		}
	}
	c.command = func() (*exec.Cmd, error) {
		return containerCommand(im, spec, env, mounts, c.box, root)
	}
	return c, nil
}

// report writes the status if the API server has another; false: try again soon.
func (w *worker) report(ctx context.Context) bool {
	w.mu.Lock()
	if w.pod.Spec.NodeName == "" || w.gone || w.written == w.pod.ResourceVersion {
		w.mu.Unlock()
		return true // the object is on its way
	}
	pod := w.pod.DeepCopy()
	pod.Status = *w.status()
	same := equality.Semantic.DeepEqual(pod.Status, w.pod.Status)
	w.mu.Unlock()
	if same {
		return true
	}
	pods := w.k.client.CoreV1().Pods(pod.Namespace)
	answer, err := pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return false // news of it is on the way
	}
	if err != nil {
		var answered apierrors.APIStatus // and did not merely fail to
		if errors.As(err, &answered) {
			log.Printf("%s/%s: status: %v", pod.Namespace, pod.Name, err)
		}
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if answer.ResourceVersion != pod.ResourceVersion {
		w.written = pod.ResourceVersion
	}
	return true
}

// deadline: when a pod that ends is killed.
func (w *worker) deadline(since time.Time) time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gone {
		return since
	}
	if s := w.pod.DeletionGracePeriodSeconds; s != nil {
		return since.Add(time.Duration(*s) * time.Second)
	}
	return since.Add(v1.DefaultTerminationGracePeriodSeconds * time.Second)
}

func (w *worker) terminate(ctx context.Context) {
	since := time.Now()
	for _, c := range w.containers {
		c.halt()
	}
	ended := make(chan struct{})
	go func() {
		for _, c := range w.containers {
			<-c.done
		}
		close(ended)
	}()
	go w.askToEnd(ended)
	for running := true; running && ctx.Err() == nil; {
		left := time.Until(w.deadline(since))
		if left <= 0 {
			break
		}
		timer := time.NewTimer(left)
		select {
		case <-ended:
			running = false
		case <-ctx.Done():
		case <-w.wake: // the grace may have become shorter; readiness may have changed
			w.report(ctx)
		case <-timer.C:
		}
		timer.Stop()
	}
	w.takeDown()
	w.delete(ctx)
}

// askToEnd sends SIGTERM, after the time that a preStop hook asks for.
func (w *worker) askToEnd(ended <-chan struct{}) {
	for _, c := range w.containers {
		go func() {
			if l := c.spec.Lifecycle; l != nil && l.PreStop != nil && l.PreStop.Sleep != nil {
				select {
				case <-ended:
				case <-time.After(time.Duration(l.PreStop.Sleep.Seconds) * time.Second):
				}
			}
			c.signal(syscall.SIGTERM)
		}()
	}
}

// takeDown ends what still runs, at once, and gives back the network; safe to repeat.
func (w *worker) takeDown() {
	for _, c := range w.containers {
		c.halt()
		c.signal(syscall.SIGKILL)
	}
	limit := time.After(killWait)
	for _, c := range w.containers {
		select {
		case <-c.done:
		case <-limit:
			log.Printf("%s: container %s does not die", w.dir, c.spec.Name)
		}
	}
	if w.box != nil {
		w.k.net.close(w.box)
	}
	os.RemoveAll(w.dir)
}

// delete tells the API server that nothing of the pod is left.
func (w *worker) delete(ctx context.Context) {
	pod, _ := w.latest()
	now := int64(0)
	for ctx.Err() == nil {
		w.mu.Lock()
		gone := w.gone
		w.mu.Unlock()
		if gone {
			return
		}
		err := w.k.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
			GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &pod.UID},
		})
		if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			return
		}
		w.pause(ctx, time.Second)
	}
}
