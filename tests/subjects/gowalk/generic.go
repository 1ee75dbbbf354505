// SPDX-License-Identifier: Apache-2.0

//go:build go1.18
// +build go1.18

package main

func generic[T int | string](v T, f func(T)) {
	f(v)
}

type list[T any] struct{ items []T }

func (l *list[T]) each(f func(T)) {
	for _, v := range l.items {
		f(v)
	}
}

func init() {
	extras = append(extras, func() {
		generic(4, func(v int) { inlinedInner(v) })
		generic("x", func(v string) { report(len(v)) })
		l := &list[shape]{[]shape{{1}, {2}}}
		l.each(func(s shape) { s.method(3) })
	})
}
