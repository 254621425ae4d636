# SPDX-License-Identifier: MIT OR Apache-2.0
#
# A list of what one can do; the work is in qemu/, tests/ and cargo.

# stock, rt, 16k, tiny or debug, with a series if you like (stock-7.2), or the
# directory of a kernel tree that you built.
KERNEL ?= stock
# amd64 or arm64: the architecture of the guest and of what is built for it.
ARCH ?= $(or $(EVQ_ARCH),$(shell uname -m))
# The kernel's build means something else by ARCH.
unexport ARCH
export EVQ_ARCH := $(ARCH)
# The kernel that "make module" builds for, unless KERNEL= is given.
KDIR ?= /lib/modules/$(shell uname -r)/build

# The client that writes the manual runs here, whatever the guest is.
HOST_TARGET := $(shell uname -m)-unknown-linux-gnu
TARGET := $(if $(filter arm64 aarch64,$(ARCH)),aarch64,x86_64)-unknown-linux-gnu
MODULE_FOR := $(if $(filter command line environment,$(origin KERNEL)),$(KERNEL),$(KDIR))

# Where rustup puts cargo, for shells that did not read the profile.
export PATH := $(PATH):$(HOME)/.cargo/bin

# Building the client beside the kernel saves half a minute of a first run.
# What runs below picks its own number of jobs.
MAKEFLAGS += -j2
unexport MAKEFLAGS MFLAGS

# The lanes of "make prove", those that take longest last.
PROVE := --miri --parsers --dkms --vm=stock --vm=rt --checkers --vm=debug
ifneq ($(filter arm64 aarch64,$(ARCH)),)
PROVE := --packages --vm=stock --vm=rt --vm=16k --dkms
endif

.PHONY: help demo test prove mutants bench icount icount-baseline profile shell module client man packages gdb lint fmt canary clean distclean setup kernel vm-module

help: ## this list
	@printf 'make TARGET [ARCH=amd64|arm64] [KERNEL=stock|rt|16k|tiny|debug|/tree] [KDIR=/tree]\n\n'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "  %-15s %s\n", $$1, $$2 }'

demo: vm-module client ## key presses in an emulated machine, printed by evdev-client
	@qemu/demo --kernel $(KERNEL)

test: vm-module client ## everything that proves it; ends with the counts
	@tests/all $(KERNEL)

prove: client ## for longer, on PREEMPT_RT and under the kernel's checkers too (docs/proof.md)
	@for lane in $(PROVE); do tests/all $$(echo $$lane | tr = ' ') || exit 1; done

mutants: vm-module ## breaks one thing at a time and expects its tests to fail; WORDS="…" picks some
	@tests/mutants $(WORDS)

bench: vm-module client ## the queue beside pipes, sockets, input devices and others
	@EVQ_KERNEL=$(KERNEL) qemu/bench
	@cargo run --quiet -p evq-bench -- page target/bench/results.json target/bench

icount: vm-module client ## guest instructions for a post, a read, a wake-up, beside those of before
	@qemu/icount

icount-baseline: vm-module client ## makes those of now the ones of before
	@qemu/icount baseline

profile: vm-module client ## the functions that those instructions are spent in
	@qemu/profile

shell: vm-module client ## a shell in the virtual machine
	@qemu/run --kernel $(KERNEL)

module: ## evq.ko for the running kernel, for KDIR=/tree or for KERNEL=NAME; M=DIR: your own
	@qemu/module $(if $(M),--of=$(M)) $(MODULE_FOR)

client: setup ## the static evdev-client
	@cargo build --quiet --release --config qemu/cargo-vm.toml -p evdev-client --target $(TARGET)

man: setup ## man pages and shell completions, into target/manual
	@cargo build --quiet --release --config qemu/cargo-vm.toml -p evdev-client --target $(HOST_TARGET)
	@target/$(HOST_TARGET)/release/evdev-client manual target/manual
	@install -D -m 644 -t target/manual/man4 docs/man/evq.4
	@install -D -m 644 -t target/manual/man5 docs/man/evq-recording.5

packages: vm-module client man ## Debian packages: the client, the modules, the driver for DKMS
	@packaging/build $(KERNEL)

gdb: vm-module client ## a debugger on the virtual machine's kernel
	@qemu/setup gdb
	@qemu/run --kernel $(KERNEL) --gdb

lint: kernel ## format and lint checks of both sides
	@tests/all --lint $(KERNEL)

fmt: kernel ## format both sides
	@cargo fmt --all
	@qemu/module --fmt $(KERNEL)

canary: setup ## builds and tests the driver on kernels that Debian offers and the project does not know yet
	@qemu/canary $(SUITES)

clean: ## remove what was built in the checkout
	@rm -rf target

distclean: clean ## also remove kernels and build roots (the cache)
	@qemu/kernel --remove

setup:
	@qemu/setup

kernel: setup
	@qemu/kernel $(KERNEL) >/dev/null

vm-module: kernel
	@qemu/module $(KERNEL) >/dev/null
