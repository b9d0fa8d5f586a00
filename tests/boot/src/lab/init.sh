#!/bin/busybox sh
# /init of the lab host: load KVM, run one script, hand its output, its files and its exit code
# back, power off. tests/boot/src/lab.rs is the other side.
#   ttyS0  log: the kernel's messages, ours, and the script's standard error
#   ttyS1  console: the script's standard input and output, raw
#   ttyS2  report: the records that report.rs describes; a command comes in on it
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/ TERM=vt100
mkdir -p /dev /proc /sys /tmp /out /run
mount -t devtmpfs dev /dev
mkdir -p /dev/shm /dev/pts
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs shm /dev/shm
mount -t devpts pts /dev/pts
exec </dev/null >/dev/ttyS0 2>&1
# Raw: no echo, no line discipline, every byte as it is. Held open so that the mode stays.
exec 5<>/dev/ttyS1 6<>/dev/ttyS2
stty raw -echo <&5
stty raw -echo <&6

# Ends the report with one record and powers off. Setting a port's mode waits until what was
# written has left it.
finish() {
    stty raw -echo </dev/ttyS0
    stty raw -echo <&5
    echo "$*" >&6
    stty raw -echo <&6
    poweroff -f
    sleep 60
}

# Modules for hardware that QEMU wasn't given don't stay; whether KVM did is asked below.
while read -r module; do
    insmod "$module" 2>/dev/null
done </lib/modules/order
dmesg | grep -iE 'kvm|svm' | sed 's/^/lab: /'
[ -c /dev/kvm ] || finish "fail no /dev/kvm although its modules were loaded"
# Two emulated CPUs have no time to poll before a halted vCPU sleeps.
echo 0 >/sys/module/kvm/parameters/halt_poll_ns
ip link set lo up
clocksource=$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)
read -r uptime idle </proc/uptime
echo "lab: Linux $(uname -r) is up after $uptime s, clocksource $clocksource"
echo "ready $uptime $clocksource" >&6

cd /tmp
setsid sh /lab/script <&5 >&5 2>/dev/ttyS0 6>&- &
script=$!
# "stop" asks the script to end, as SIGTERM asks a process to; "run LINE" runs a line beside it.
while read -r command line; do
    case $command in
    stop) kill -TERM $script ;;
    run) sh -c "$line" </dev/null >/dev/ttyS0 2>&1 & ;;
    esac
done <&6 &
wait $script
code=$?

for file in /out/*; do
    [ -f "$file" ] || continue
    sum=$(sha256sum <"$file")
    echo "file ${file##*/} $(wc -c <"$file") ${sum%% *}" >&6
    cat "$file" >&6
done
finish "exit $code"
