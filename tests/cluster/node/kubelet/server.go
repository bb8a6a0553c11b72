// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"time"
)

// server: of the kubelet's API what `kubectl logs` needs. TLS both ways: the API server shows a
// certificate of the cluster's authority with the name that it uses for kubelets.

func (k *kubelet) serve(address, cert, key, ca, client string) error {
	pem, err := os.ReadFile(ca)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s: no certificate", ca)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", k.containerLogs)
	server := &http.Server{
		Addr:              address,
		Handler:           onlyFrom(client, mux),
		ReadHeaderTimeout: 30 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // probes that close at once
		TLSConfig: &tls.Config{
			ClientCAs:  pool,
			ClientAuth: tls.RequireAndVerifyClientCert,
			MinVersion: tls.VersionTLS12,
		},
	}
	return server.ListenAndServeTLS(cert, key)
}

func onlyFrom(name string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil || r.TLS.PeerCertificates[0].Subject.CommonName != name {
			http.Error(w, "forbidden", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// flushed sends what it has on Flush, and is what show follows with.
type flushed struct {
	http.ResponseWriter
}

func (f flushed) Flush() {
	_ = http.NewResponseController(f.ResponseWriter).Flush()
}

func (k *kubelet) containerLogs(w http.ResponseWriter, r *http.Request) {
	o, previous, err := parseLogOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c := k.container(r.PathValue("namespace"), r.PathValue("pod"), r.PathValue("container"))
	if c == nil {
		http.Error(w, "no such container, or it waits to start", http.StatusBadRequest)
		return
	}
	path, gone := c.log(previous)
	if path == "" {
		http.Error(w, "no log: the container has not started", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	if err := show(r.Context(), path, o, flushed{w}, gone); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func parseLogOptions(r *http.Request) (o logOptions, previous bool, err error) {
	q := r.URL.Query()
	o.tail = -1
	flag := func(name string) bool { on, _ := strconv.ParseBool(q.Get(name)); return on }
	o.follow, o.timestamps, previous = flag("follow"), flag("timestamps"), flag("previous")
	if text := q.Get("tailLines"); text != "" {
		if o.tail, err = strconv.Atoi(text); err != nil || o.tail < 0 {
			return o, false, fmt.Errorf("tailLines %q", text)
		}
	}
	if text := q.Get("limitBytes"); text != "" {
		if o.limit, err = strconv.ParseInt(text, 10, 64); err != nil || o.limit <= 0 {
			return o, false, fmt.Errorf("limitBytes %q", text)
		}
	}
	if text := q.Get("sinceSeconds"); text != "" {
		seconds, err := strconv.ParseInt(text, 10, 32)
		if err != nil || seconds <= 0 {
			return o, false, fmt.Errorf("sinceSeconds %q", text)
		}
		o.since = time.Now().Add(-time.Duration(seconds) * time.Second)
	}
	if text := q.Get("sinceTime"); text != "" {
		if o.since, err = time.Parse(time.RFC3339, text); err != nil {
			return o, false, fmt.Errorf("sinceTime %q", text)
		}
	}
	return o, previous, nil
}
