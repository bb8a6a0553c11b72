// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"
)

// network: pods' namespaces. The node is a namespace with a bridge, both made before the kubelet
// starts; each pod gets a namespace of its own with one veth on that bridge and an address of each
// family. Addresses go round, so that one which was given back rests before it is given again, as
// gateways that still send to it must be found out.

type network struct {
	node   string // namespace with the bridge
	bridge string
	prefix string // of the pods' namespaces

	mu    sync.Mutex
	pods4 netip.Prefix
	pods6 netip.Prefix
	next  int
	used  map[int]bool
}

const (
	firstHost = 16   // below: router, node
	lastHost  = 4000 // of the /20
)

type sandbox struct {
	host   int
	netns  string
	port   string // the bridge's end
	ip4    netip.Addr
	ip6    netip.Addr
	closed bool
}

func hostOf(p netip.Prefix, host int) netip.Addr {
	raw := p.Masked().Addr().AsSlice()
	raw[len(raw)-2] += byte(host >> 8)
	raw[len(raw)-1] += byte(host)
	addr, _ := netip.AddrFromSlice(raw)
	return addr
}

func (n *network) take() (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for range lastHost - firstHost {
		host := firstHost + n.next%(lastHost-firstHost)
		n.next++
		if !n.used[host] {
			n.used[host] = true
			return host, nil
		}
	}
	return 0, fmt.Errorf("all %d addresses of %s are taken", lastHost-firstHost, n.pods4)
}

// skip lets new addresses start beyond one that a pod had before this kubelet started.
func (n *network) skip(address string) {
	addr, err := netip.ParseAddr(address)
	if err != nil || !n.pods4.Contains(addr) {
		return
	}
	raw := addr.AsSlice()
	host := int(raw[2]&0x0f)<<8 | int(raw[3])
	n.mu.Lock()
	defer n.mu.Unlock()
	n.next = max(n.next, host+1-firstHost)
}

func (n *network) give(host int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.used, host)
}

// ip runs ip(8) with one command per line, in a namespace if one is named.
func ip(netns string, commands ...string) error {
	args := []string{"-batch", "-"}
	if netns != "" {
		args = append([]string{"-n", netns}, args...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ip", args...)
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", netns, err, strings.TrimSpace(out.String()))
	}
	return nil
}

func (n *network) open() (*sandbox, error) {
	host, err := n.take()
	if err != nil {
		return nil, err
	}
	s := &sandbox{
		host:  host,
		netns: fmt.Sprintf("%s-p%d", n.prefix, host),
		port:  fmt.Sprintf("p%d", host),
		ip4:   hostOf(n.pods4, host),
		ip6:   hostOf(n.pods6, host),
	}
	_ = ip("", "netns del "+s.netns) // of a kubelet that crashed
	if err := n.plug(s); err != nil {
		n.close(s)
		return nil, err
	}
	return s, nil
}

func (n *network) plug(s *sandbox) error {
	err := ip("", "netns add "+s.netns, fmt.Sprintf(
		"link add eth0 netns %s type veth peer name %s netns %s", s.netns, s.port, n.node))
	if err != nil {
		return err
	}
	err = ip(n.node, fmt.Sprintf("link set %s master %s up", s.port, n.bridge))
	if err != nil {
		return err
	}
	return ip(s.netns, "link set lo up",
		fmt.Sprintf("addr add %s/%d dev eth0", s.ip4, n.pods4.Bits()),
		fmt.Sprintf("addr add %s/%d dev eth0 nodad", s.ip6, n.pods6.Bits()),
		"link set eth0 up",
		"route add default via "+hostOf(n.pods4, 1).String(),
		"route add default via "+hostOf(n.pods6, 1).String())
}

func (n *network) close(s *sandbox) {
	if s.closed {
		return
	}
	s.closed = true
	_ = ip("", "netns del "+s.netns) // its veth goes with it
	n.give(s.host)
}

// dialIn connects from inside a namespace: a socket stays in the one in which it was made.
func dialIn(ctx context.Context, netns, address string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	done := make(chan result, 1)
	go func() {
		// Never unlocked: the thread, which nobody else may have now, ends with the goroutine.
		runtime.LockOSThread()
		if err := enterNet(netns); err != nil {
			done <- result{nil, err}
			return
		}
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", address)
		done <- result{conn, err}
	}()
	r := <-done
	return r.conn, r.err
}
