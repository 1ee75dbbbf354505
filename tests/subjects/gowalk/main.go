// SPDX-License-Identifier: Apache-2.0

// Prints its own stacks as the Go runtime sees them, and, where WALK_PROFILE names a file, leaves there the
// goroutine profile of a goroutine that waits in inlined code.
package main

import (
	"os"
	"runtime"
	"strings"
)

type shape struct{ n int }

func (s *shape) method(depth int) int { return inlinedOuter(s.n + depth) }

type walker interface{ walk(int) int }

type value struct{ a, b int }

func (v value) walk(n int) int { return inlinedOuter(v.a + n) }

type embedding struct{ value }

func inlinedOuter(n int) int {
	n++
	return inlinedInner(n)
}

func inlinedInner(n int) int {
	report(n)
	return n + 1
}

func twice(f func(int) int) int {
	return f(1) +
		f(2)
}

//go:noinline
func report(n int) {
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	for {
		f, more := frames.Next()
		println("frame", f.PC, f.Line, f.Function, f.File)
		if !more {
			break
		}
	}
	println("end", n)
}

func mapped() {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		panic(err)
	}
	for _, line := range strings.Split(string(maps), "\n") {
		println("map", line)
	}
}

func walk() {
	mapped()
	s := &shape{1}
	s.method(2)
	done := make(chan int)
	go func() { inlinedOuter(3); close(done) }()
	<-done
	var w walker = embedding{value{4, 5}}
	w.walk(6)
	w = &value{7, 8}
	w.walk(9)
	twice(func(n int) int { return inlinedOuter(n) })
	for _, f := range extras {
		f()
	}
	profile()
	defer func() { recover(); report(5) }()
	var p *shape
	p.method(0)
}

// Filled by the files that need a newer Go, or cgo.
var extras []func()

func main() { walk() }
