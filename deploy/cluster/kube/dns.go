package main

import (
	"os"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/ready"
)

// CoreDNS with the four plugins that a cluster's names need.
func runDNS() {
	dnsserver.Directives = []string{"bind", "ready", "errors", "kubernetes"}
	os.Args[0] = "coredns"
	coremain.Run()
}
