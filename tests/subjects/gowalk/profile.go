// SPDX-License-Identifier: Apache-2.0

//go:build walkprofile
// +build walkprofile

package main

import (
	"os"
	"runtime"
	"runtime/pprof"
)

func waitOuter(c chan int) int { return waitInner(c) + 1 }

func waitInner(c chan int) int { return <-c }

func profile() {
	c := make(chan int)
	go func() { waitOuter(c) }()
	runtime.Gosched()
	file, err := os.Create(os.Getenv("WALK_PROFILE"))
	if err != nil {
		panic(err)
	}
	pprof.Lookup("goroutine").WriteTo(file, 0)
	file.Close()
	c <- 1
}
