# SPDX-License-Identifier: Apache-2.0
"""
demo_sites.py: scripts/demo --sites: two sites, two clusters; a weight set at one site counts at both.
"""
import signal
import time

import sites

REQUESTS = 200


def shown(site):
    n = site.shares(REQUESTS)
    return f"{n['us-east']:3d} us-east, {n['us-west']:3d} us-west of {REQUESTS} at site {site.name}"


def check_all(args, check):
    with sites.SitesLab(build=args.build) as box:
        box.start_sites(args.workers)
        for s in box.sites:
            n = s.shares(REQUESTS)
            check(abs(n["us-east"] - REQUESTS // 2) <= 2 * args.workers,
                  f"{s.name}: half of {REQUESTS} requests to each cluster: {n}")
        box.east.ctl("weight", "set", "us-west", "25")
        time.sleep(0.5)
        for s in box.sites:
            n = s.shares(REQUESTS)
            check(abs(n["us-east"] - REQUESTS * 4 // 5) <= 2 * args.workers,
                  f"{s.name}: four of five to us-east once site east said us-west 25: {n}")


def show(args):
    with sites.SitesLab(build=args.build) as box:
        print("two sites, two clusters, and the two that speak for them:", flush=True)
        box.start_sites(args.workers)
        print(box.east.ctl("site", "list"))
        for s in box.sites:
            print(shown(s))
        print("\n$ sluicectl weight set us-west 10 --ttl 1h --reason 'rack work'   # at site east")
        box.east.ctl("weight", "set", "us-west", "10", "--ttl", "1h", "--reason", "rack work")
        time.sleep(0.5)
        for s in box.sites:
            print(shown(s))
        print("\n$ sluicectl weight list   # at site west")
        print(box.west.ctl("weight", "list"))
        print(f"""try it yourself, from another terminal:
  a site        {box.build}/sluicectl --socket {box.east.api} site list
  a weight      {box.build}/sluicectl --socket {box.west.api} weight set us-east 50
  what changes  curl -sN --unix-socket {box.west.api} http://sluice/api/v1/events
  requests      ip netns exec {box.ns('client')} curl -s -H 'Host: {sites.HOST}' http://{box.east.vip}/
  cut the link  ip -n {box.ns('router')} link set to-ctl-west down

Ctrl-C ends the demo and removes everything.""", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            print("\ndemo: ending")
    return 0
