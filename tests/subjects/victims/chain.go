// SPDX-License-Identifier: Apache-2.0

// main.main -> main.outer -> main.middle -> main.inner, and the same below a goroutine; what is allocated keeps the
// garbage collector at work.
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

var kept [][]byte

//go:noinline
func inner(x uint64) uint64 {
	for i := 0; i < 40000; i++ {
		x = x*6364136223846793005 + uint64(i)
	}
	return x
}

//go:noinline
func middle(x uint64) uint64 {
	return inner(x) + 1
}

//go:noinline
func outer(x uint64) uint64 {
	return middle(x) ^ 1
}

func burn(end time.Time) (x uint64) {
	for time.Now().Before(end) {
		x += outer(x)
	}
	return x
}

func main() {
	seconds, err := strconv.ParseFloat(os.Args[1], 64)
	if err != nil {
		panic(err)
	}
	end := time.Now().Add(time.Duration(seconds * float64(time.Second)))
	fmt.Println("ready")
	go burn(end)
	for time.Now().Before(end) {
		kept = append(kept[:len(kept)%64], make([]byte, 16<<10))
		outer(uint64(len(kept)))
	}
}
