// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// logs: what containers print, a line each with its time and stream, as the CRI writes it:
//
//	2006-01-02T15:04:05.999999999Z stdout F text
//
// A log that has grown too large starts anew; the mini-cluster keeps no archive.

const (
	maxLine    = 16 << 10
	maxLog     = 32 << 20
	followStep = 100 * time.Millisecond
)

type logFile struct {
	mu      sync.Mutex
	file    *os.File
	size    int64
	streams sync.WaitGroup
}

func newLog(path string) (*logFile, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	return &logFile{file: file}, nil
}

// take reads a container's stream until its end.
func (l *logFile) take(stream string, from io.ReadCloser) {
	l.streams.Add(1)
	go func() {
		defer l.streams.Done()
		defer from.Close()
		lines := bufio.NewReaderSize(from, maxLine)
		for {
			line, err := lines.ReadSlice('\n')
			if len(line) > 0 {
				l.add(stream, line)
			}
			if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
				return
			}
		}
	}()
}

func (l *logFile) add(stream string, line []byte) {
	tag := "F"
	if !bytes.HasSuffix(line, []byte("\n")) {
		tag = "P" // a part: the line goes on in the next
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size > maxLog {
		if l.file.Truncate(0) == nil {
			l.size = 0
		}
	}
	n, _ := fmt.Fprintf(l.file, "%s %s %s %s\n", time.Now().UTC().Format(time.RFC3339Nano), stream,
		tag, bytes.TrimSuffix(line, []byte("\n")))
	l.size += int64(n)
}

// close waits for the streams' ends, but not for ever: a child may hold them open.
func (l *logFile) close() {
	done := make(chan struct{})
	go func() { l.streams.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(time.Second):
	}
	l.file.Close()
}

type logOptions struct {
	follow     bool
	timestamps bool
	since      time.Time
	tail       int   // lines; < 0: all
	limit      int64 // bytes; <= 0: no limit
}

// show writes a log to out; with follow, until ctx ends or gone says that no more will come.
func show(ctx context.Context, path string, o logOptions, out io.Writer, gone func() bool) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if o.tail >= 0 {
		if err := seekTail(file, o.tail); err != nil {
			return err
		}
	}
	if o.limit > 0 {
		out = &limited{out, o.limit}
	}
	var part string
	for lines := bufio.NewReader(file); ; {
		ended := gone()
		text, err := lines.ReadString('\n')
		part += text
		if err == nil {
			if err := o.line(part, out); err != nil {
				return nil // the reader has enough
			}
			part = ""
			continue
		}
		if !errors.Is(err, io.EOF) || !o.follow || ended || ctx.Err() != nil {
			return nil
		}
		if flusher, ok := out.(interface{ Flush() }); ok {
			flusher.Flush()
		}
		time.Sleep(followStep)
	}
}

func (o *logOptions) line(line string, out io.Writer) error {
	field := strings.SplitN(line, " ", 4)
	if len(field) != 4 {
		return nil
	}
	at, err := time.Parse(time.RFC3339Nano, field[0])
	if err != nil || at.Before(o.since) {
		return nil
	}
	text := field[3]
	if field[2] == "P" {
		text = strings.TrimSuffix(text, "\n")
	}
	if o.timestamps {
		text = field[0] + " " + text
	}
	_, err = io.WriteString(out, text)
	return err
}

// seekTail puts the file at the start of its last n lines.
func seekTail(file *os.File, n int) error {
	var starts []int64
	at := int64(0)
	for lines := bufio.NewReader(file); ; {
		text, err := lines.ReadString('\n')
		if err != nil {
			break
		}
		if starts = append(starts, at); len(starts) > n {
			starts = starts[1:]
		}
		at += int64(len(text))
	}
	if len(starts) > 0 {
		at = starts[0]
	}
	_, err := file.Seek(at, io.SeekStart)
	return err
}

var errFull = errors.New("limit reached")

type limited struct {
	out  io.Writer
	left int64
}

func (l *limited) Write(p []byte) (int, error) {
	if int64(len(p)) > l.left {
		p = p[:l.left]
	}
	n, err := l.out.Write(p)
	if l.left -= int64(n); l.left <= 0 && err == nil {
		err = errFull
	}
	return n, err
}
