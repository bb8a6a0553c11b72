// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// container: one program of a pod: started, watched, started again as the pod's restartPolicy says,
// with a pause that doubles. Its process dies with the kubelet.

const (
	firstPause = time.Second
	lastPause  = 30 * time.Second
	longRun    = 10 * time.Minute // after which a pause is short again
	killWait   = 5 * time.Second
)

type container struct {
	spec    *v1.Container
	command func() (*exec.Cmd, error)
	policy  v1.RestartPolicy
	box     *sandbox
	logs    string // folder
	changed func()

	stopping chan struct{} // closed: no more starts
	done     chan struct{} // closed: will not run again

	mu       sync.Mutex
	process  *os.Process // while it runs
	since    metav1.Time
	ready    bool
	restarts int32
	starts   int
	waiting  *v1.ContainerStateWaiting
	last     *v1.ContainerStateTerminated
	halted   bool
}

// spawner: what starts processes. A parent-death signal comes when the thread that forked ends, so
// that thread must be one that does not.
var spawner = make(chan func())

func init() {
	go func() {
		runtime.LockOSThread()
		for start := range spawner {
			start()
		}
	}()
}

func startProcess(cmd *exec.Cmd) error {
	done := make(chan error)
	spawner <- func() { done <- cmd.Start() }
	return <-done
}

// containerCommand: the shim with everything that the program shall find.
func containerCommand(im image, c *v1.Container, env map[string]string, mounts []mount,
	box *sandbox, root string) (*exec.Cmd, error) {
	argv := im.Paths[:1]
	if len(c.Command) > 0 {
		argv = c.Command
	}
	argv = append(append([]string{}, argv...), c.Args...)
	for i := range argv {
		argv[i] = expand(argv[i], env)
	}
	all := append([]mount{}, mounts...)
	for _, path := range im.Paths {
		all = append(all, mount{Source: im.Program, Target: path, ReadOnly: true})
	}
	spec, err := json.Marshal(shimSpec{
		NetNS: box.netns, Root: root, Mounts: all, WorkingDir: c.WorkingDir, Argv: argv,
		Path: env["PATH"],
	})
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("/proc/self/exe", "shim", string(spec))
	cmd.Env = []string{}
	for key, value := range env {
		cmd.Env = append(cmd.Env, key+"="+value)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return cmd, nil
}

func (c *container) supervise() {
	defer close(c.done)
	pause := firstPause
	for {
		began := time.Now()
		code, err := c.runOnce()
		again := c.policy == v1.RestartPolicyAlways ||
			c.policy == v1.RestartPolicyOnFailure && code != 0
		c.ended(code, err, again)
		if !again || c.isStopping() {
			return
		}
		if time.Since(began) > longRun {
			pause = firstPause
		}
		select {
		case <-c.stopping:
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, lastPause)
	}
}

func (c *container) isStopping() bool {
	select {
	case <-c.stopping:
		return true
	default:
		return false
	}
}

// runOnce starts the program and waits for its end.
func (c *container) runOnce() (int, error) {
	cmd, err := c.command()
	if err != nil {
		return -1, err
	}
	log, err := newLog(c.logPath(c.starts))
	if err != nil {
		return -1, err
	}
	defer log.close()
	stdout, stdoutW, err := os.Pipe()
	if err != nil {
		return -1, err
	}
	stderr, stderrW, err := os.Pipe()
	if err != nil {
		stdout.Close()
		stdoutW.Close()
		return -1, err
	}
	cmd.Stdout, cmd.Stderr = stdoutW, stderrW
	err = startProcess(cmd)
	stdoutW.Close()
	stderrW.Close()
	log.take("stdout", stdout)
	log.take("stderr", stderr)
	if err != nil {
		return -1, err
	}
	probing, stopProbing := context.WithCancel(context.Background())
	defer stopProbing()
	c.began(cmd.Process)
	go watchReadiness(probing, c.box, c.spec, func(ready bool) {
		c.mu.Lock()
		c.ready = ready && c.process != nil
		c.mu.Unlock()
		c.changed()
	})
	_ = cmd.Wait()
	return exitCode(cmd.ProcessState), nil
}

func exitCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}

func (c *container) logPath(start int) string {
	return filepath.Join(c.logs, fmt.Sprintf("%s-%d.log", c.spec.Name, start))
}

func (c *container) began(p *os.Process) {
	c.mu.Lock()
	c.process, c.since = p, metav1.Now().Rfc3339Copy()
	if c.starts > 0 {
		c.restarts++
	}
	c.starts++
	c.waiting = nil
	c.mu.Unlock()
	c.changed()
}

func (c *container) ended(code int, err error, again bool) {
	c.mu.Lock()
	c.process, c.ready = nil, false
	if err != nil {
		c.waiting = &v1.ContainerStateWaiting{Reason: "RunContainerError", Message: err.Error()}
	} else {
		reason := "Completed"
		if code != 0 {
			reason = "Error"
		}
		c.last = &v1.ContainerStateTerminated{
			ExitCode: int32(code), Reason: reason, StartedAt: c.since,
			FinishedAt: metav1.Now().Rfc3339Copy(),
		}
		if again {
			c.waiting = &v1.ContainerStateWaiting{
				Reason: "CrashLoopBackOff", Message: "waiting to start the container again",
			}
		}
	}
	c.mu.Unlock()
	c.changed()
}

// halt lets no new start happen; a process that runs is left alone.
func (c *container) halt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.halted {
		c.halted = true
		close(c.stopping)
	}
}

func (c *container) signal(sig syscall.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process != nil {
		_ = c.process.Signal(sig)
	}
}

// log: the file of the running or last start, or of the one before; gone: whether it is complete.
func (c *container) log(previous bool) (path string, gone func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	start := c.starts - 1
	if previous {
		start--
	}
	if start < 0 {
		return "", nil
	}
	return c.logPath(start), func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.starts-1 != start || c.process == nil
	}
}

var errUnsupported = errors.New("this kubelet does not have")

// unsupported: what a pod asks for and would miss.
func unsupported(pod *v1.Pod) error {
	if len(pod.Spec.InitContainers) > 0 {
		return fmt.Errorf("%w initContainers", errUnsupported)
	}
	if pod.Spec.HostNetwork {
		return fmt.Errorf("%w hostNetwork", errUnsupported)
	}
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		if c.LivenessProbe != nil || c.StartupProbe != nil {
			return fmt.Errorf("%w probes but readinessProbe", errUnsupported)
		}
		if p := c.ReadinessProbe; p != nil && p.HTTPGet == nil && p.TCPSocket == nil {
			return fmt.Errorf("%w probes but httpGet and tcpSocket", errUnsupported)
		}
		l := c.Lifecycle
		if l != nil && (l.PostStart != nil || l.PreStop != nil && l.PreStop.Sleep == nil) {
			return fmt.Errorf("%w lifecycle hooks but preStop.sleep", errUnsupported)
		}
	}
	return nil
}
