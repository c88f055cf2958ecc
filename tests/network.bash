# Two hosts of this machine for tests: network namespaces with a limited link between them, each with a host
# name of its own, and mpirun that starts a rank on each over TCP. Source it after lib.bash; it skips the test
# where namespaces may not be made. RATE: of the link, as tc writes it.
${mpirun%% *} --version 2>/dev/null | grep -q 'Open MPI' || skip 'needs the mpirun of Open MPI'
for program in ip tc unshare; do command -v $program >/dev/null || skip "no $program; apt-get install iproute2"; done
host_a=ad$$a host_b=ad$$b
drop_hosts() {
    ip netns del $host_a 2>/dev/null
    ip netns del $host_b 2>/dev/null
}
trap drop_hosts EXIT
{ ip netns add $host_a && ip netns add $host_b &&
    ip link add va netns $host_a type veth peer name vb netns $host_b; } 2>why ||
    skip "no network namespaces: $(head -n 1 why)"
plug() { # NAMESPACE INTERFACE ADDRESS
    ip -n $1 addr add $3/24 dev $2 && ip -n $1 link set $2 up && ip -n $1 link set lo up &&
        ip netns exec $1 tc qdisc add dev $2 root tbf rate "${RATE:-200mbit}" burst "${BURST:-64kb}" latency 50ms
}
{ plug $host_a va 10.97.0.1 && plug $host_b vb 10.97.0.2; } 2>why || skip "no limited link: $(head -n 1 why)"
for try in $(seq 50); do # up on both sides
    [ "$({ ip -n $host_a addr show va; ip -n $host_b addr show vb; } | grep -c 'state UP')" = 2 ] && break
    sleep 0.1
done

cat >agent <<A
#!/bin/bash
# in place of ssh: HOST COMMAND...
shift
exec ip netns exec $host_b unshare -u bash -c 'hostname host-b; exec bash -c "\$*"' - "\$@"
A
cat >on_a <<A
#!/bin/bash
exec ip netns exec $host_a unshare -u bash -c 'hostname host-a; exec "\$@"' - "\$@"
A
chmod +x agent on_a
# The options by which mpirun learns within seconds that a host is gone (5 s of silence, 3 looks 2 s apart).
keepalive="--mca oob_tcp_keepalive_time 5 --mca oob_tcp_keepalive_intvl 2 --mca oob_tcp_keepalive_probes 3"
on_two_hosts="./on_a mpirun --mca plm_rsh_agent $PWD/agent --mca btl tcp,self --mca btl_tcp_if_include 10.97.0.0/24
    --mca oob_tcp_if_include 10.97.0.0/24 $keepalive --host 10.97.0.1:1,10.97.0.2:1 --bind-to none -n 2"
sent() { ip netns exec $1 cat /sys/class/net/$2/statistics/tx_bytes 2>/dev/null || ip -n $1 -s link show $2 | awk '/TX:/ { getline; print $1 }'; }
