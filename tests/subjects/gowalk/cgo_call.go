// SPDX-License-Identifier: Apache-2.0

//go:build cgo && walkcgo
// +build cgo,walkcgo

package main

/*
extern int into_go(int);
static inline int squared(int n) { return n * n; }
static int __attribute__((noinline)) from_c(int n) { return into_go(squared(n)) + 1; }
static int called(int n) { return from_c(n); }
*/
import "C"

func init() {
	extras = append(extras, func() { C.called(3) })
}
