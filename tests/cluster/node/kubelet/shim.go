// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// shim: what a container's process does before it becomes the container's program. The kubelet
// starts itself again with this as argument; by then the environment and the standard files are the
// program's. It enters the pod's network namespace, makes a mount namespace whose root holds
// nothing but the program, the volumes and a few devices, and executes the program. What goes wrong
// is said on the standard error, which is the container's log.

type mount struct {
	Source   string `json:"source"` // on the host
	Target   string `json:"target"` // in the container
	ReadOnly bool   `json:"readOnly"`
}

type shimSpec struct {
	NetNS      string   `json:"netns"`
	Root       string   `json:"root"` // an empty folder to mount the root on
	Mounts     []mount  `json:"mounts"`
	WorkingDir string   `json:"workingDir"`
	Argv       []string `json:"argv"`
	Path       string   `json:"path"` // where Argv[0] is looked for
}

var devices = []string{"/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"}

const shimExit = 127 // what shells say of a program that cannot be started

func shim(text string) {
	runtime.LockOSThread() // namespaces are the thread's
	err := func() error {
		var spec shimSpec
		if err := json.Unmarshal([]byte(text), &spec); err != nil {
			return err
		}
		if err := enterNet(spec.NetNS); err != nil {
			return err
		}
		if err := enterRoot(&spec); err != nil {
			return err
		}
		program, err := lookUp(spec.Argv[0], spec.Path)
		if err != nil {
			return err
		}
		return unix.Exec(program, spec.Argv, os.Environ())
	}()
	fmt.Fprintf(os.Stderr, "cannot start the container: %v\n", err)
	os.Exit(shimExit)
}

// enterNet puts this thread into the named network namespace.
func enterNet(name string) error {
	file, err := os.Open(filepath.Join("/run/netns", name))
	if err != nil {
		return err
	}
	defer file.Close()
	if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("setns %s: %w", name, err)
	}
	return nil
}

func enterRoot(spec *shimSpec) error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mount private: %w", err)
	}
	options := "size=64m,mode=755"
	if err := unix.Mount("tmpfs", spec.Root, "tmpfs", unix.MS_NOSUID, options); err != nil {
		return fmt.Errorf("mount root: %w", err)
	}
	for _, dir := range []string{"proc", "tmp", "dev", "old"} {
		if err := os.Mkdir(filepath.Join(spec.Root, dir), 0o755); err != nil {
			return err
		}
	}
	mounts := append([]mount{{Source: "/proc", Target: "/proc"}}, spec.Mounts...)
	for _, dev := range devices {
		mounts = append(mounts, mount{Source: dev, Target: dev})
	}
	for _, m := range mounts {
		if err := bind(spec.Root, m); err != nil {
			return err
		}
	}
	if err := unix.PivotRoot(spec.Root, filepath.Join(spec.Root, "old")); err != nil {
		return fmt.Errorf("pivot_root: %w", err)
	}
	if err := unix.Chdir(filepath.Join("/", spec.WorkingDir)); err != nil {
		return fmt.Errorf("working directory %q: %w", spec.WorkingDir, err)
	}
	if err := unix.Unmount("/old", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("umount: %w", err)
	}
	return os.Remove("/old")
}

// bind makes a file or folder of the host appear under the root that is being built.
func bind(root string, m mount) error {
	info, err := os.Stat(m.Source)
	if err != nil {
		return err
	}
	target := filepath.Join(root, filepath.Join("/", m.Target)) // a target cannot climb out
	if info.IsDir() {
		err = os.MkdirAll(target, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(target), 0o755); err == nil {
		err = os.WriteFile(target, nil, 0o644)
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(m.Source, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s: %w", m.Target, err)
	}
	if !m.ReadOnly {
		return nil
	}
	flags := uintptr(unix.MS_BIND | unix.MS_REMOUNT | unix.MS_RDONLY)
	if err := unix.Mount("", target, "", flags, ""); err != nil {
		return fmt.Errorf("mount %s read-only: %w", m.Target, err)
	}
	return nil
}

func lookUp(name, path string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, dir := range strings.Split(path, ":") {
		full := filepath.Join(dir, name)
		if info, err := os.Stat(full); err == nil && !info.IsDir() {
			return full, nil
		}
	}
	return "", fmt.Errorf("%q: %w", name, errors.New("not in the image"))
}
