// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
)

// An image stands for one static program of the programs folder. The program is what the
// container finds under every one of the paths; the first is the entrypoint.
type image struct {
	Repository string   `json:"repository"`
	Program    string   `json:"program"`
	Paths      []string `json:"paths"`
}

type imageTable map[string]image

func loadImages(file, programs string) (imageTable, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var list []image
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	table := imageTable{}
	for _, im := range list {
		im.Program = filepath.Join(programs, im.Program)
		if _, err := os.Stat(im.Program); err != nil {
			return nil, err
		}
		if len(im.Paths) == 0 {
			return nil, fmt.Errorf("%s: %s has no paths", file, im.Repository)
		}
		table[im.Repository] = im
	}
	return table, nil
}

// repository takes tag and digest off an image's name, and spells the registry that a bare name
// means (github.com/distribution/reference).
func repository(name string) string {
	name, _, _ = strings.Cut(name, "@")
	if i := strings.LastIndex(name, ":"); i > strings.LastIndex(name, "/") {
		name = name[:i]
	}
	first, _, found := strings.Cut(name, "/")
	if !found {
		return "docker.io/library/" + name
	}
	if !strings.ContainsAny(first, ".:") && first != "localhost" {
		return "docker.io/" + name
	}
	return name
}

func (t imageTable) find(name string) (image, error) {
	if im, ok := t[repository(name)]; ok {
		return im, nil
	}
	known := make([]string, 0, len(t))
	for r := range t {
		known = append(known, r)
	}
	sort.Strings(known)
	return image{}, fmt.Errorf("no program for image %q; known: %s", name,
		strings.Join(known, ", "))
}
