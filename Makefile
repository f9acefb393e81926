# The few commands of INTERFACES.md; Meson does the work.
BUILD ?= build
PREFIX ?= /usr
DESTDIR ?=
FUZZ_SECONDS ?= 60
JOBS ?= $(shell nproc)

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD) -j $(JOBS)

$(BUILD)/build.ninja:
	@tools/setup build
	@meson setup $(BUILD) --prefix $(PREFIX) >$(BUILD).log || { cat $(BUILD).log; exit 1; }
	@mv $(BUILD).log $(BUILD)/setup.log

demo: all $(BUILD)/demo-pki/anchors
	@tools/demo $(BUILD)

$(BUILD)/demo-pki/anchors: | all
	@rm -rf $(BUILD)/demo-pki
	@$(BUILD)/programs/virtual-tee pki $(BUILD)/demo-pki >/dev/null

check: all
	@tools/run-tests check $(BUILD)

test:
	@tools/setup test
	@tools/run-tests test $(BUILD)

test-long:
	@tools/setup test
	@tools/run-tests long $(BUILD)

install: all
	@DESTDIR="$(DESTDIR)" meson configure $(BUILD) -Dprefix="$(PREFIX)"
	@DESTDIR="$(DESTDIR)" meson install -C $(BUILD)

bench bench-rego bench-verifiers bench-kbs: all
	@tools/bench $@ $(BUILD)

asan ubsan tsan:
	@tools/setup test
	@tools/sanitize $@ $(JOBS)

fuzz:
	@tools/setup test
	@tools/fuzz $(FUZZ_SECONDS) $(JOBS)

clean:
	rm -rf $(BUILD) build-*

.PHONY: all demo check test test-long install bench bench-rego bench-verifiers bench-kbs asan ubsan tsan fuzz clean
