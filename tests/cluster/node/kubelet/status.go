// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// status: what a pod's status shall say. Written over the status that the API server has, so that
// what others own there stays.

func (w *worker) status() *v1.PodStatus {
	st := w.pod.Status.DeepCopy()
	st.HostIP = w.k.address
	st.HostIPs = []v1.HostIP{{IP: w.k.address}}
	st.StartTime = &w.began
	if w.box != nil {
		st.PodIP = w.box.ip4.String()
		st.PodIPs = []v1.PodIP{{IP: st.PodIP}, {IP: w.box.ip6.String()}}
	}
	running, ended, failed := 0, 0, 0
	ready := len(w.containers) > 0
	st.ContainerStatuses = nil
	for i := range w.pod.Spec.Containers {
		cs := w.containerStatus(&w.pod.Spec.Containers[i])
		st.ContainerStatuses = append(st.ContainerStatuses, cs)
		ready = ready && cs.Ready
		if t := cs.State.Terminated; t != nil {
			ended++
			if t.ExitCode != 0 {
				failed++
			}
		} else if cs.State.Running != nil || cs.LastTerminationState.Terminated != nil {
			running++
		}
	}
	st.Phase = phase(len(w.pod.Spec.Containers), running, ended, failed)
	w.conditions(st, ready)
	return st
}

func phase(all, running, ended, failed int) v1.PodPhase {
	switch {
	case ended == all && failed > 0:
		return v1.PodFailed
	case ended == all:
		return v1.PodSucceeded
	case running+ended == all:
		return v1.PodRunning
	}
	return v1.PodPending
}

func (w *worker) conditions(st *v1.PodStatus, ready bool) {
	setCondition(st, v1.PodScheduled, true, "", "")
	setCondition(st, v1.PodReadyToStartContainers, w.box != nil, "", "")
	setCondition(st, v1.PodInitialized, true, "", "")
	reason, message := "", ""
	if !ready {
		reason, message = "ContainersNotReady", "containers are not ready"
	}
	setCondition(st, v1.ContainersReady, ready, reason, message)
	for _, gate := range w.pod.Spec.ReadinessGates {
		if ready && !hasCondition(st, gate.ConditionType) {
			ready, reason = false, "ReadinessGatesNotReady"
			message = fmt.Sprintf("condition %q is not True", gate.ConditionType)
		}
	}
	setCondition(st, v1.PodReady, ready, reason, message)
}

func hasCondition(st *v1.PodStatus, kind v1.PodConditionType) bool {
	for i := range st.Conditions {
		if st.Conditions[i].Type == kind {
			return st.Conditions[i].Status == v1.ConditionTrue
		}
	}
	return false
}

func setCondition(st *v1.PodStatus, kind v1.PodConditionType, on bool, reason, message string) {
	status := v1.ConditionFalse
	if on {
		status = v1.ConditionTrue
	}
	for i := range st.Conditions {
		c := &st.Conditions[i]
		if c.Type != kind {
			continue
		}
		if c.Status != status {
			c.LastTransitionTime = metav1.Now().Rfc3339Copy()
		}
		c.Status, c.Reason, c.Message = status, reason, message
		return
	}
	st.Conditions = append(st.Conditions, v1.PodCondition{
		Type: kind, Status: status, Reason: reason, Message: message,
		LastTransitionTime: metav1.Now().Rfc3339Copy(),
	})
}

func (w *worker) containerStatus(spec *v1.Container) v1.ContainerStatus {
	cs := v1.ContainerStatus{Name: spec.Name, Image: spec.Image, Started: new(bool)}
	c := w.find(spec.Name)
	if c == nil {
		reason := w.reason
		if reason == "" {
			reason = "ContainerCreating"
		}
		cs.State.Waiting = &v1.ContainerStateWaiting{Reason: reason, Message: w.message}
		cs.RestartCount = w.restartsBefore(spec.Name)
		return cs
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	cs.ImageID = spec.Image
	cs.ContainerID = fmt.Sprintf("minicluster://%s-%s-%d", w.pod.UID, spec.Name, c.restarts)
	cs.RestartCount = c.restarts
	switch {
	case c.process != nil:
		*cs.Started = true
		cs.Ready = c.ready
		cs.State.Running = &v1.ContainerStateRunning{StartedAt: c.since}
		cs.LastTerminationState.Terminated = c.last
	case c.waiting != nil:
		cs.State.Waiting = c.waiting
		cs.LastTerminationState.Terminated = c.last
	case c.last != nil:
		cs.State.Terminated = c.last
	default:
		cs.State.Waiting = &v1.ContainerStateWaiting{Reason: "ContainerCreating"}
	}
	return cs
}

// restartsBefore: how often a container had been restarted before this kubelet knew it.
func (w *worker) restartsBefore(name string) int32 {
	for i := range w.pod.Status.ContainerStatuses {
		if cs := &w.pod.Status.ContainerStatuses[i]; cs.Name == name {
			return cs.RestartCount
		}
	}
	return 0
}
