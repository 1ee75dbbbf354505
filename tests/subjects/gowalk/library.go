// SPDX-License-Identifier: Apache-2.0

//go:build cgo && walklibrary
// +build cgo,walklibrary

package main

import "C"

//export WalkLibrary
func WalkLibrary() { walk() }
