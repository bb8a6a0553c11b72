// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// probe: readiness by HTTP GET or TCP connect, made inside the pod's namespace. A container without
// a probe is ready as soon as it runs, whether or not anything listens.

func atLeast(value, least int32) int32 { return max(value, least) }

func probePort(c *v1.Container, port intstr.IntOrString) (int, error) {
	if port.Type == intstr.Int {
		return port.IntValue(), nil
	}
	for _, p := range c.Ports {
		if p.Name == port.StrVal {
			return int(p.ContainerPort), nil
		}
	}
	return strconv.Atoi(port.StrVal)
}

// watchReadiness probes until ctx ends, and tells every change.
func watchReadiness(ctx context.Context, s *sandbox, c *v1.Container, tell func(bool)) {
	p := c.ReadinessProbe
	if p == nil {
		tell(true)
		return
	}
	period := time.Duration(atLeast(p.PeriodSeconds, 1)) * time.Second
	timer := time.NewTimer(time.Duration(p.InitialDelaySeconds) * time.Second)
	defer timer.Stop()
	var good, bad int32
	ready := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if err := probe(ctx, s, c, p); err == nil {
			good, bad = good+1, 0
		} else {
			good, bad = 0, bad+1
		}
		switch {
		case !ready && good >= atLeast(p.SuccessThreshold, 1):
			ready = true
			tell(true)
		case ready && bad >= atLeast(p.FailureThreshold, 1):
			ready = false
			tell(false)
		}
		timer.Reset(period)
		if !ready && good == 0 && bad < 20 { // a program that is starting shall not cost a period
			timer.Reset(min(period, 100*time.Millisecond))
		}
	}
}

func probe(ctx context.Context, s *sandbox, c *v1.Container, p *v1.Probe) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(atLeast(p.TimeoutSeconds, 1))*time.Second)
	defer cancel()
	if p.TCPSocket != nil {
		port, err := probePort(c, p.TCPSocket.Port)
		if err != nil {
			return err
		}
		host := p.TCPSocket.Host
		if host == "" {
			host = s.ip4.String()
		}
		conn, err := dialIn(ctx, s.netns, net.JoinHostPort(host, strconv.Itoa(port)))
		if err == nil {
			conn.Close()
		}
		return err
	}
	return probeHTTP(ctx, s, c, p.HTTPGet)
}

func probeHTTP(ctx context.Context, s *sandbox, c *v1.Container, get *v1.HTTPGetAction) error {
	port, err := probePort(c, get.Port)
	if err != nil {
		return err
	}
	host := get.Host
	if host == "" {
		host = s.ip4.String()
	}
	scheme := "http"
	if get.Scheme == v1.URISchemeHTTPS {
		scheme = "https"
	}
	url := fmt.Sprintf("%s://%s%s", scheme, net.JoinHostPort(host, strconv.Itoa(port)), get.Path)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "kube-probe/1.36")
	for _, h := range get.HTTPHeaders {
		if http.CanonicalHeaderKey(h.Name) == "Host" {
			request.Host = h.Value
		} else {
			request.Header.Add(h.Name, h.Value)
		}
	}
	transport := &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // as kubelets do
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			return dialIn(ctx, s.netns, address)
		},
	}
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, 10<<10)
	if answer.StatusCode < 200 || answer.StatusCode >= 400 {
		return fmt.Errorf("status %d", answer.StatusCode)
	}
	return nil
}
