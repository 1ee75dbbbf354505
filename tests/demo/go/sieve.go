// SPDX-License-Identifier: Apache-2.0

// A Go workload built with -ldflags "-s -w": no symbol table, no DWARF, only .gopclntab.
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"
)

type sieve struct {
	composite []bool
}

func newSieve(n int) *sieve {
	return &sieve{composite: make([]bool, n+1)}
}

// mark is small enough to be inlined into strike.
func (s *sieve) mark(i int) {
	s.composite[i] = true
}

//go:noinline
func (s *sieve) strike(prime int) {
	for i := prime * prime; i < len(s.composite); i += prime {
		s.mark(i)
	}
}

func (s *sieve) run() int {
	count := 0
	for i := 2; i < len(s.composite); i++ {
		if s.composite[i] {
			continue
		}
		count++
		s.strike(i)
	}
	return count
}

func collatz(n uint64) (steps int) {
	for n != 1 {
		if n%2 == 0 {
			n /= 2
		} else {
			n = 3*n + 1
		}
		steps++
	}
	return steps
}

//go:noinline
func longestCollatz(limit uint64) (best int) {
	for n := uint64(1); n < limit; n++ {
		if steps := collatz(n); steps > best {
			best = steps
		}
	}
	return best
}

func main() {
	seconds := 10.0
	if len(os.Args) > 1 {
		if parsed, err := strconv.ParseFloat(os.Args[1], 64); err == nil {
			seconds = parsed
		}
	}
	end := time.Now().Add(time.Duration(seconds * float64(time.Second)))
	primes, longest := 0, 0
	for time.Now().Before(end) {
		primes = newSieve(200000).run()
		longest = longestCollatz(20000)
	}
	fmt.Println("sieve:", primes, longest)
}
