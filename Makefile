# SPDX-License-Identifier: LGPL-2.1-or-later
# `make help` lists the targets. What is built goes to build/, unpacked
# sources and finished builds to the cache (SNAP_CACHE, see tools/setup/lib.sh).

setup := tools/setup
checks := $(setup)/run-checks
vm := selftests/vm/snap-vm

.PHONY: all deps qemu kmod tools selftests run check check-static \
	check-engine check-tools check-device check-guest check-debug \
	check-all check-paths check-mutations check-programs check-stress \
	check-series \
	check-kernels check-newest check-own-machine check-packages check-install \
	soak bench bench-engine profile debug-kernel deb install uninstall clean help
.NOTPARALLEL:

all: deps qemu kmod tools selftests

deps:
	@$(setup)/install-deps --check

qemu:
	@$(setup)/build-plugin

kmod:
	@$(setup)/build-kmod stock

tools:
	@$(setup)/build-programs tools $(MAKEOVERRIDES)

selftests:
	@$(setup)/build-programs selftests $(MAKEOVERRIDES)

debug-kernel:
	@$(setup)/build-debug-kernel
	@$(setup)/build-kmod debug

run: all
	@selftests/run/demo.sh

check: deps
	@$(checks) static engine tools device packages guest

check-static check-engine check-tools check-device check-guest check-debug \
check-all check-paths check-mutations check-programs check-stress check-series \
check-kernels check-newest check-own-machine check-packages check-install: \
check-%: deps
	@$(checks) $*

soak: deps
	@$(checks) soak

bench: all
	@selftests/bench/bench.sh $(ROWS)

profile: all
	@selftests/bench/profile.sh $(ROW) $(FUNCTION)

bench-engine: deps
	@qemu-device/engine/bench/bench.sh

deb: deps qemu
	@$(setup)/build-deb

install:
	@$(setup)/install $(MAKEOVERRIDES)

uninstall:
	@$(setup)/uninstall

clean:
	rm -rf build

help:
	@echo 'make              device (a plug-in of QEMU), module, tools, selftests'
	@echo 'make run          move data between guest and host, both ways'
	@echo 'make check        all of check-static, check-engine, check-tools,'
	@echo '                  check-device, check-packages and check-guest'
	@echo 'make check-debug  guest suite in the debug kernel'
	@echo 'make check-all    guest suite, each test in every capture mode with one'
	@echo '                  and two processors'
	@echo 'make check-paths  what moves packets, with the data path in threads and in the'
	@echo '                  main loop, slowed, paused and full; 1, 2 and 4 queues'
	@echo 'make check-mutations'
	@echo '                  take protections out: the named tests must fail'
	@echo 'make check-programs'
	@echo '                  nginx, redis and others on AF_SNAP sockets'
	@echo 'make check-stress stress-ng and trinity on AF_SNAP sockets'
	@echo 'make soak         all kinds of traffic at once for 20 minutes (MINUTES=N)'
	@echo 'make check-newest some of the guest suite on the newest kernel of Debian 13'
	@echo 'make check-kernels'
	@echo '                  guest suite on all kernels: the table of kernels.rst'
	@echo 'make check-install'
	@echo '                  install, upgrade and purge the packages in a Debian 13'
	@echo 'make check-series build and test the device in QEMU 10.0 and 10.2'
	@echo 'make check-own-machine'
	@echo '                  a stock Debian guest, as your-own-machine.rst says'
	@echo 'make bench        measure sockets and device beside their peers: 25'
	@echo '                  minutes, QUICK=1: four; ROWS=NAME...: some of the rows'
	@echo 'make profile      where instructions go in one row: ROW=NAME, FUNCTION=NAME'
	@echo 'make bench-engine measure the engine, without QEMU'
	@echo 'make debug-kernel build the debug kernel and a module for it'
	@echo 'make deb          Debian packages of all, into build/deb'
	@echo 'make install      what they hold, to the same places (PREFIX, LIBDIR,'
	@echo '                  DESTDIR); make uninstall takes it away'
	@echo 'make clean        remove build/ (the cache stays)'
	@echo '$(vm) COMMAND'
	@echo '                  run a command in the test machine (--help)'
