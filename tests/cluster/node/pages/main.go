// SPDX-License-Identifier: Apache-2.0

// Pages is what the mini-cluster runs for the image "busybox": the few applets that the public
// tutorials' manifests ask of it, under the names by which they are called:
//
//	sh -c "httpd -f -p 80 -h /var/www/html"
//	httpd -f [-p [ADDRESS:]PORT] [-h FOLDER]
//	sleep SECONDS
//
// httpd serves files: the page with "App Version N" comes from a ConfigMap. Unlike the original it
// keeps connections open, which no HTTP server in use today fails to do. On SIGTERM it takes no new
// connections, answers what it has and ends.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const drainTime = 5 * time.Second

func main() {
	args := append([]string{filepath.Base(os.Args[0])}, os.Args[1:]...)
	if err := run(args); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", args[0], err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch args[0] {
	case "sh":
		return shell(args[1:])
	case "httpd":
		return httpd(args[1:])
	case "sleep":
		return sleep(args[1:])
	}
	return fmt.Errorf("no such applet")
}

// shell runs one simple command: words apart by blanks, no quoting, no operators.
func shell(args []string) error {
	if len(args) != 2 || args[0] != "-c" {
		return errors.New("want: -c COMMAND")
	}
	if strings.ContainsAny(args[1], "'\"\\$`|&;<>(){}*?") {
		return fmt.Errorf("%q is more than one simple command", args[1])
	}
	words := strings.Fields(args[1])
	if len(words) > 0 && words[0] == "exec" {
		words = words[1:]
	}
	if len(words) == 0 || words[0] == "sh" {
		return errors.New("no command")
	}
	return run(append([]string{filepath.Base(words[0])}, words[1:]...))
}

func sleep(args []string) error {
	if len(args) != 1 {
		return errors.New("want: SECONDS")
	}
	span, err := time.ParseDuration(strings.TrimSuffix(args[0], "s") + "s")
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	select {
	case <-ctx.Done():
	case <-time.After(span):
	}
	return nil
}

func httpd(args []string) error {
	flags := flag.NewFlagSet("httpd", flag.ContinueOnError)
	flags.Bool("f", false, "stay in the foreground (always)")
	address := flags.String("p", "80", "[ADDRESS:]PORT")
	folder := flags.String("h", ".", "folder to serve")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if !strings.Contains(*address, ":") {
		*address = ":" + *address
	}
	server := &http.Server{
		Addr:              *address,
		Handler:           logged(http.FileServer(http.Dir(*folder))),
		ReadHeaderTimeout: 30 * time.Second,
		IdleTimeout:       5 * time.Minute,
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	drained := make(chan error, 1)
	go func() {
		<-ctx.Done()
		limit, cancel := context.WithTimeout(context.Background(), drainTime)
		defer cancel()
		drained <- server.Shutdown(limit)
	}()
	fmt.Printf("serving %s on %s\n", *folder, *address)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-drained
}

func logged(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Printf("%s %s %s\n", r.RemoteAddr, r.Method, r.URL.Path)
		next.ServeHTTP(w, r)
	})
}
