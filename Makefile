# SPDX-License-Identifier: Apache-2.0
# One non-recursive Makefile. A .c file in a folder belongs to that folder's library, unless it is
# main.c (the folder's program) or test-*.c (a unit test of its own). `make help` lists the targets.

VARIANT ?=
BUILD ?= build$(if $(VARIANT),/$(VARIANT))
PREFIX ?= /usr/local
DESTDIR ?=
CC = gcc
CLANG ?= clang
BPFTOOL ?= $(firstword $(wildcard /usr/sbin/bpftool /usr/local/sbin/bpftool) bpftool)
LLVM_STRIP ?= llvm-strip
PKG_CONFIG ?= pkg-config
V ?= 0

ifeq ($(V),0)
Q = @
say = @printf '  %-7s %s\n' $(1) $(2)
endif

VERSION := $(shell cat VERSION 2>/dev/null || echo 0)
COMMIT := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)

# ---- flags -------------------------------------------------------------------------------------

WARN = -Wall -Wextra -Werror -Wformat=2 -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wold-style-definition -Wwrite-strings -Wundef -Wvla -Wpointer-arith -Wcast-align -Wdate-time \
	-Wimplicit-fallthrough -Wconversion -Wno-sign-conversion -Wlogical-op -Wduplicated-cond \
	-Wduplicated-branches
HARDEN = -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection \
	-fcf-protection=full -ftrivial-auto-var-init=zero
OPT = -O2 -g

ifeq ($(VARIANT),asan)
OPT = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
HARDEN =
else ifeq ($(VARIANT),tsan)
# gcc sees false uninitialised uses through the thread sanitizer's instrumentation.
OPT = -O1 -g -fno-omit-frame-pointer -fsanitize=thread -Wno-maybe-uninitialized
HARDEN =
else ifeq ($(VARIANT),cov)
OPT = -O0 -g --coverage
HARDEN =
else ifneq ($(VARIANT),)
$(error VARIANT is asan, tsan, cov or empty, not '$(VARIANT)')
endif

CFLAGS ?=
LDFLAGS ?=
CPPFLAGS_ALL = -D_GNU_SOURCE -I. -I$(BUILD)/gen -include $(BUILD)/gen/version.h
CFLAGS_ALL = -std=gnu17 $(OPT) $(HARDEN) $(WARN) -fPIE -ffile-prefix-map=$(CURDIR)=. -pthread $(CFLAGS)
LDFLAGS_ALL = -pie -pthread -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code -Wl,--as-needed \
	$(filter -fsanitize=% --coverage,$(OPT)) $(LDFLAGS)

# ---- libraries: folder, what it links --------------------------------------------------------

# libcurl (in base) and libdebuginfod (in upload-cli) are loaded when needed: base/lazy_library.h.
PKG_base = libzstd libdeflate libisal libcrypto jansson libseccomp libxxhash
PKG_store = sqlite3
PKG_debuginfod = libcurl
PKG_server = libmicrohttpd
PKG_agent-lite/sample = libbpf
PKG_symbolizer/indexer = libdw libelf liblzma
EXTRA_symbolizer/indexer = -liberty
# For its tests and benchmarks alone: the oracle and rival.
TEST_PKG_agent-lite/elf = libdw libelf

AGENT_ROOMS = $(addprefix agent-lite/,rights elf process sample ship give)
FOLDERS = base symbolizer symbolizer/indexer store debuginfod server $(AGENT_ROOMS) agent-lite upload-cli
# What a folder may include and is linked with, nearest first (ci/check-layers.sh checks the same).
USES_base =
USES_symbolizer = base
USES_symbolizer/indexer = symbolizer base
USES_store = base
USES_debuginfod = store symbolizer base
USES_server = debuginfod store symbolizer base
USES_agent-lite/rights = base
USES_agent-lite/elf = agent-lite/rights base
USES_agent-lite/process = agent-lite/elf agent-lite/rights base
USES_agent-lite/sample = agent-lite/process agent-lite/elf agent-lite/rights base
USES_agent-lite/ship = agent-lite/process agent-lite/elf agent-lite/rights base
USES_agent-lite/give = agent-lite/ship agent-lite/process agent-lite/elf agent-lite/rights base
USES_agent-lite = agent-lite/give agent-lite/ship agent-lite/sample agent-lite/process agent-lite/elf \
	agent-lite/rights base
USES_upload-cli = symbolizer base

sources = $(sort $(filter-out %/main.c,$(filter-out $(1)/test-%.c $(1)/bench-%.c,$(wildcard $(1)/*.c))))
lib = $(BUILD)/lib/$(subst /,-,$(1)).a
objects = $(patsubst %.c,$(BUILD)/obj/%.o,$(call sources,$(1)))
libs_of = $(call lib,$(1)) $(foreach u,$(USES_$(1)),$(call lib,$(u)))
pkgs_of = $(PKG_$(1)) $(foreach u,$(USES_$(1)),$(PKG_$(u)))
ldlibs_of = $(EXTRA_$(1)) $(foreach u,$(USES_$(1)),$(EXTRA_$(u))) \
	$$$$($(PKG_CONFIG) --libs $(call pkgs_of,$(1))) -lm

PROGRAMS = $(BUILD)/unhexd $(BUILD)/unhex-indexer $(BUILD)/unhex-agent $(BUILD)/unhex
MAIN_unhexd = server
MAIN_unhex-indexer = symbolizer/indexer
MAIN_unhex-agent = agent-lite
MAIN_unhex = upload-cli

UNIT_SRC = $(sort $(foreach f,$(FOLDERS),$(wildcard $(f)/test-*.c)))
UNIT = $(patsubst %.c,$(BUILD)/test/%,$(UNIT_SRC))

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all help deps demo test check unit e2e bench lint install clean check-asan check-tsan \
	check-diff check-instructions check-interop check-long coverage compile_commands.json

all: $(PROGRAMS)

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

## make                 build the four programs into build/
## make demo            install what is missing, build, run server + agent + workloads; KEEP=1 leaves the server up
## make test            install what is missing, build, run all tests (also under ASan+UBSan)
## make check           the tests alone, nothing installed; VARIANT=asan|tsan|cov picks a build
## make unit / e2e      one half of them; ONLY=pattern picks tests by file name
## make bench           time and memory beside every symbolizer found here; ONLY=kernel (libc, pprof, server, agent); BENCH_QUICK=1
## make check-instructions  fails where look-ups, start-up, builds or profiles need more instructions (callgrind)
## make lint            layers, headers alone, sizes, shellcheck, gcc -fanalyzer, clang-tidy
## make fuzz            libFuzzer targets over their kept corpora; FUZZ_SECONDS=60 each
## make check-diff      100,000 addresses of large binaries against llvm-symbolizer and eu-addr2line (long)
## make check-interop   stripped Go programs of every Go release that can be had (downloads toolchains)
## make check-long      fuzzing (FUZZ_SECONDS=600 each), bad input (UNHEX_BAD_CASES), a debug file of 2 GiB, all unwind tables
## make coverage        line coverage of the tests
## make install         DESTDIR= PREFIX=; the programs, and unhex-agent's systemd unit
## make deps            install the build's Debian packages (the list is ci/packages.txt)

deps:
	@ci/deps.sh

demo: deps
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@BUILD=$(BUILD) tests/demo/run.sh

test: deps
	@ci/run.sh test

# ---- generated ------------------------------------------------------------------------------

$(BUILD)/gen/version.h: VERSION Makefile FORCE
	@mkdir -p $(@D)
	@printf '#define UNHEX_VERSION "%s"\n#define UNHEX_COMMIT "%s"\n' '$(VERSION)' '$(COMMIT)' >$@.new
	@cmp -s $@.new $@ && rm $@.new || mv $@.new $@
FORCE:

BPF_SRC = $(sort $(wildcard bpf/*.bpf.c))
SKELETONS = $(patsubst bpf/%.bpf.c,$(BUILD)/gen/%.skel.h,$(BPF_SRC))
BPF_INCLUDE = /usr/include/$(shell uname -m)-linux-gnu
BPF_ARCH = $(patsubst x86_64,x86,$(patsubst aarch64,arm64,$(shell uname -m)))

$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c $(wildcard bpf/*.h)
	$(call say,BPF,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) -g -O2 -target bpf -D__TARGET_ARCH_$(BPF_ARCH) -Wall -Werror -I. \
		-I$(BPF_INCLUDE) -ffile-prefix-map=$(CURDIR)=. -c $< -o $@
	$(Q)$(LLVM_STRIP) -g $@

$(BUILD)/gen/%.skel.h: $(BUILD)/bpf/%.bpf.o
	$(call say,SKEL,$@)
	@mkdir -p $(@D)
	$(Q)$(BPFTOOL) gen skeleton $< name $(subst -,_,$*) >$@

# ---- objects and libraries ------------------------------------------------------------------

$(BUILD)/obj/agent-lite/sample/sampler.o: | $(SKELETONS)
$(BUILD)/obj/%.o: %.c $(BUILD)/gen/version.h
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_ALL) $(CFLAGS_ALL) -MMD -MP -c $< -o $@

define folder_rules
$(call lib,$(1)): $(call objects,$(1))
	$$(call say,AR,$$@)
	@mkdir -p $$(@D)
	@rm -f $$@
	$$(Q)$$(AR) rcsD $$@ $$^

$(BUILD)/test/$(1)/test-%: $(BUILD)/obj/$(1)/test-%.o $(call libs_of,$(1))
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) -o $$@ $$(filter %.o,$$^) -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group \
		$$(LDFLAGS_ALL) $(call ldlibs_of,$(1)) \
		$$$$($(PKG_CONFIG) --libs cmocka $(TEST_PKG_$(1)))

$(BUILD)/bench/$(1)/bench-%: $(BUILD)/obj/$(1)/bench-%.o $(call libs_of,$(1))
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) -o $$@ $$(filter %.o,$$^) -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group \
		$$(LDFLAGS_ALL) $(call ldlibs_of,$(1)) \
		$(if $(TEST_PKG_$(1)),$$$$($(PKG_CONFIG) --libs $(TEST_PKG_$(1))))
endef
$(foreach f,$(FOLDERS),$(eval $(call folder_rules,$(f))))

define program_rules
$(BUILD)/$(1): $(BUILD)/obj/$(MAIN_$(1))/main.o $(call libs_of,$(MAIN_$(1)))
	$$(call say,LD,$$@)
	@mkdir -p $$(@D)
	$$(Q)$$(CC) -o $$@ $$(filter %.o,$$^) -Wl,--start-group $$(filter %.a,$$^) -Wl,--end-group \
		$$(LDFLAGS_ALL) $(call ldlibs_of,$(MAIN_$(1)))
endef
$(foreach p,$(notdir $(PROGRAMS)),$(eval $(call program_rules,$(p))))

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)

# ---- tests ----------------------------------------------------------------------------------

unit: $(UNIT) $(BUILD)/unhex-indexer
	@BUILD=$(BUILD) tests/run.sh unit
e2e: all
	@BUILD=$(BUILD) tests/run.sh e2e
check: all $(UNIT)
	@BUILD=$(BUILD) tests/run.sh unit e2e
check-asan:
	@$(MAKE) --no-print-directory VARIANT=asan check
check-tsan:
	@$(MAKE) --no-print-directory VARIANT=tsan check
bench: all
	@BUILD=$(BUILD) tests/bench/run.sh
check-instructions: all $(addprefix $(BUILD)/bench/symbolizer/,bench-lookup bench-pprof indexer/bench-index) \
		$(BUILD)/bench/agent-lite/elf/bench-unwind_table
	@UNHEX_BUILD=$(abspath $(BUILD)) python3 tests/bench/check_instructions.py
lint:
	@ci/run.sh lint
coverage:
	@ci/run.sh coverage
fuzz:
	@ci/run.sh fuzz
check-diff:
	@ci/run.sh diff
check-interop:
	@ci/run.sh interop
check-long:
	@ci/run.sh long

compile_commands.json:
	@$(MAKE) -s --no-print-directory -Bn V=1 all | tests/compile-commands.sh >$@

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/systemd/system
	install -m 755 $(PROGRAMS) $(DESTDIR)$(PREFIX)/bin
	sed 's|/usr/local/bin/|$(PREFIX)/bin/|' deploy/unhex-agent.service >$(BUILD)/gen/unhex-agent.service
	install -m 644 $(BUILD)/gen/unhex-agent.service $(DESTDIR)$(PREFIX)/lib/systemd/system

clean:
	rm -rf build
