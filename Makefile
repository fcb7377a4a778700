# svidhelper. `make` lists what there is; every target works on a bare machine
# with Go and make.
GO      ?= go
# grpcnotrace leaves gRPC's debug pages out, and lets the linker drop what no
# code calls; nethttpomithttp2 leaves out the HTTP/2 that only health would have.
# Megabytes, and attack surface.
TAGS    := grpcnotrace,nethttpomithttp2
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
COMMIT  ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)
BUILD   := $(GO) build -tags $(TAGS) -trimpath -ldflags '$(LDFLAGS)'
PREFIX  ?= /usr/local
# staticcheck has its own module file, so that it never enters the product's
# module graph.
STATICCHECK := $(GO) tool -modfile=.ci/tools.mod staticcheck
# STRICT=1 turns every skipped test into a failed one.
STRICT  ?=

export CGO_ENABLED ?= 0

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/svidhelper
	$(BUILD) -o bin/svidhelper ./cmd/svidhelper

.PHONY: demo
demo: build ## watch rotations arrive: a development Workload API, svidhelper, a process
	@sh examples/quickstart/demo.sh bin/svidhelper

.PHONY: test
test: lint test-deps ## run every check and every test (STRICT=1: nothing may be skipped)
	STRICT=$(STRICT) GO="$(GO)" TAGS=$(TAGS) sh .ci/test.sh

.PHONY: test-deps
test-deps:
	@sh .ci/deps.sh

.PHONY: test-services
test-services: ## run the tests of the servers that .ci/services lists (SERVICES="A B", LIMIT=seconds)
	@STRICT=$(STRICT) GO="$(GO)" TAGS=$(TAGS) SERVICES="$(SERVICES)" LIMIT=$(LIMIT) sh .ci/services.sh

.PHONY: test-kubernetes
test-kubernetes: test-deps ## show examples/kubernetes to a real API server, built the first time (CACHED=1: only if it has been)
	@CACHED=$(CACHED) GO="$(GO)" sh .ci/kubernetes.sh

.PHONY: lint
lint: ## gofmt, go vet, staticcheck, and builds for the other platforms
	@unformatted=$$(gofmt -l bench cmd fswatch helper supervisor writer examples .ci); \
	 [ -z "$$unformatted" ] || { echo "gofmt wants: $$unformatted"; exit 1; }
	$(GO) vet -tags $(TAGS),services ./...
	$(STATICCHECK) -tags $(TAGS),services ./...
	GOOS=linux GOARCH=arm64 $(GO) build -tags $(TAGS) -o /dev/null ./cmd/svidhelper
	GOOS=darwin GOARCH=arm64 $(GO) vet -tags $(TAGS) ./...
	GOOS=windows GOARCH=amd64 $(GO) vet -tags $(TAGS) ./...

FUZZTIME ?= 1m
.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (1m)
	@FUZZTIME=$(FUZZTIME) GO="$(GO)" TAGS=$(TAGS) sh .ci/fuzz.sh

.PHONY: bench bench-short bench-programs
bench-programs: build
	@$(BUILD) -o bin/bench/ ./bench ./bench/floor ./bench/child

bench: bench-programs ## measure against the floor and the budgets, a table (SPIFFE_HELPER=path beside it)
	@bin/bench/bench $(BENCH)

bench-short: bench-programs ## the same in less than a minute
	@bin/bench/bench -short $(BENCH)

.PHONY: microbench
microbench: ## run the packages' own benchmarks
	$(GO) test -tags $(TAGS) -run '^$$' -bench . -benchmem ./...

SOAK ?= 10m
.PHONY: soak
soak: bench-programs ## ten rotations a second and an outage a minute for SOAK (10m): nothing may grow
	@bin/bench/bench -soak $(SOAK)

.PHONY: outages
outages: ## the outages of minutes that make test leaves out (about 15 minutes)
	SVIDHELPER_SOAK=1 CGO_ENABLED=1 $(GO) test -tags $(TAGS) -race -timeout 60m -v -run 'Soak|Outage' ./...

.PHONY: install
install: build ## install into PREFIX (/usr/local); LINK=1 adds a spiffe-helper link
	install -D -m 0755 bin/svidhelper $(DESTDIR)$(PREFIX)/bin/svidhelper
	$(if $(LINK),ln -sf svidhelper $(DESTDIR)$(PREFIX)/bin/spiffe-helper)
	install -D -m 0644 docs/man/svidhelper.1 $(DESTDIR)$(PREFIX)/share/man/man1/svidhelper.1
	install -D -m 0644 docs/man/helper.conf.5 $(DESTDIR)$(PREFIX)/share/man/man5/helper.conf.5
	install -D -m 0644 docs/completion/svidhelper.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/svidhelper
	install -D -m 0644 docs/completion/_svidhelper $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_svidhelper
	install -D -m 0644 docs/completion/svidhelper.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/svidhelper.fish
	install -D -m 0644 examples/systemd/sysusers.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/svidhelper.conf
	mkdir -p $(DESTDIR)$(PREFIX)/lib/systemd/system
	for unit in svidhelper svidhelper@; do \
	 sed 's|=/usr/bin/|=$(PREFIX)/bin/|' examples/systemd/$$unit.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/$$unit.service || exit; \
	done

.PHONY: manuals
manuals: ## write the manual pages and the completions anew
	$(GO) test -tags $(TAGS) ./cmd/svidhelper -run TestManuals -update

.PHONY: release
release: ## build what a release consists of into dist: archives, packages, image, SBOMs, provenance, checksums
	$(GO) -C .ci/release run . -dist $(CURDIR)/dist -version $(VERSION) -commit $$(git rev-parse HEAD) \
	 -time $$(git log -1 --format=%ct) -tags $(TAGS) -ldflags '$(LDFLAGS)' $(RELEASE)

.PHONY: clean
clean: ## remove what the targets made
	rm -rf bin dist
