# Targets are documented by the text after "##". `make test` is what CI runs.
GO     ?= go
TOOL    = $(GO) tool -modfile=tools/go.mod
export CGO_ENABLED ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup run test check build package smoke bench start deploy generate vulncheck clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: node_modules ## install what the tests and the local cloud need from npm

node_modules: package.json package-lock.json
	npm ci --no-audit --no-fund
	@touch node_modules

run: build node_modules ## start everything locally, no Azure needed
	$(GO) run ./dev/cmd/run $(ARGS)

test: node_modules check ## formatting, vet, staticcheck and all tests; what CI runs
	$(GO) test -race ./...

check: ## the checks of test that need no running service
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo "run gofmt -w on these"; exit 1; }
	$(GO) vet ./...
	@test -z "$$($(GO) fix -diff ./... 2>&1)" || { $(GO) fix -diff ./...; echo "run go fix ./..."; exit 1; }
	$(GO) mod tidy -diff
	$(TOOL) staticcheck ./...

build: ## lay out dist/ as the Functions host wants it
	$(GO) run ./internal/cmd/dist

package: build ## make dist.zip, the same bytes for the same commit
	$(GO) run ./internal/cmd/pack

smoke: build node_modules ## end to end with faults; last line is one JSON object
	$(GO) run ./dev/cmd/smoke $(ARGS)

bench: build node_modules ## measure the budgets
	$(GO) run ./dev/cmd/bench $(ARGS)

start: build ## run dist/ under Azure Functions Core Tools with local.settings.json
	cp local.settings.json dist/
	func start --script-root dist

deploy: build ## publish dist/ to the function app named by APP
	@test -n "$(APP)" || { echo "name the function app: make deploy APP=my-bridge"; exit 1; }
	cd dist && func azure functionapp publish $(APP) --no-build

generate: ## write again what is made of other files; a test compares
	$(GO) generate ./...

vulncheck: ## known vulnerabilities (needs the online database)
	$(TOOL) govulncheck ./...

clean: ## remove what make build and make run made
	rm -rf dist dist.zip release .local
