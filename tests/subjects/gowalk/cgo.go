// SPDX-License-Identifier: Apache-2.0

//go:build cgo && walkcgo
// +build cgo,walkcgo

package main

import "C"

//export into_go
func into_go(n C.int) C.int { return C.int(inlinedOuter(int(n))) }
