# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# One machine: its folder under $CACHE/runs, what it shares with the guest, the processes that serve it, QEMU itself.
# With a disk it can be booted again: see machine_reboot in guest/lib.sh.

# Virtual functions need queues and interrupts of their own, which the controller must have to give away.
BOOT_SRIOV=(
        -device "pcie-root-port,id=sriov,slot=16,chassis=16" -device "nvme-subsys,id=sriov-subsys"
        -device "nvme,serial=x,subsys=sriov-subsys,bus=sriov,sriov_max_vfs=4,sriov_vq_flexible=8,sriov_vi_flexible=8,\
max_ioqpairs=10,msix_qsize=12"
)

boot_parse() {
        BOOT_INSTALL='' BOOT_TIMEOUT=300 BOOT_MEMORY=2048 BOOT_CPUS=2 BOOT_IOMMU='' BOOT_KEEP='' BOOT_DISK=''
        BOOT_KERNEL=6.12 BOOT_TOLD=
        BOOT_DEVICES=() BOOT_APPEND=() BOOT_FILES=() BOOT_ENABLE=()

        while [ $# -gt 0 ]; do
                case $1 in
                --install | --enable | --timeout | --memory | --cpus | --kernel | --device | --append | --file | --pieces)
                        [ $# -ge 2 ] || die_usage "$1 needs an argument"
                        ;;&
                --install) BOOT_INSTALL=$2; shift ;;
                --enable) BOOT_ENABLE+=("$2"); shift ;;
                --timeout) BOOT_TIMEOUT=$2; shift ;;
                --memory) BOOT_MEMORY=$2; shift ;;
                --cpus) BOOT_CPUS=$2; shift ;;
                --kernel) BOOT_KERNEL=$2; shift ;;
                --device) BOOT_DEVICES+=(-device "$2"); shift ;;
                --append) BOOT_APPEND+=("$2"); shift ;;
                --file) BOOT_FILES+=("$2"); shift ;;
                --intel-iommu) BOOT_IOMMU=yes ;;
                --sriov) BOOT_DEVICES+=("${BOOT_SRIOV[@]}") ;;
                --pieces) BOOT_TOLD=$2; shift ;;
                --keep) BOOT_KEEP=yes ;;
                --disk) BOOT_DISK=yes ;;
                -*) die_usage "run has no option $1" ;;
                *) break ;;
                esac
                shift
        done

        [ $# -ge 1 ] || die_usage "run needs a script"
        [ -f "$1" ] || die_usage "$1 is no file"
        [ -z "$BOOT_INSTALL" ] || [ -d "$BOOT_INSTALL/usr" ] || die_usage "$BOOT_INSTALL has no usr: is it a DESTDIR tree?"
        [[ $BOOT_KERNEL =~ ^(6\.12|6\.1|own)$ ]] || die_usage "there is no kernel $BOOT_KERNEL"
        [[ $BOOT_TIMEOUT =~ ^[0-9]+$ && $BOOT_TIMEOUT -gt 30 ]] || die_usage "--timeout needs a number above 30"
        BOOT_SCRIPT=$1
        shift
        BOOT_ARGUMENTS=("$@")
}

# A DESTDIR tree becomes a layer over the guest's root. There /lib, /bin and /sbin are links into /usr, which folders of
# these names would hide.
boot_install() {
        local merged

        mkdir "$1"
        cp -rT --preserve=mode,links,timestamps "$BOOT_INSTALL" "$1"
        for merged in bin sbin lib; do
                if [ -d "$1/$merged" ]; then
                        mkdir -p "$1/usr/$merged"
                        cp -rT --preserve=mode,links,timestamps "$1/$merged" "$1/usr/$merged"
                        rm -r "${1:?}/$merged"
                fi
        done
}

# What the guest finds in /rig.
boot_share() {
        local file share=$1

        mkdir "$share"
        cp -rT "$RIG_DIR/guest" "$share/guest"
        cp "$BOOT_SCRIPT" "$share/script"
        printf '%s\0' "${BOOT_ARGUMENTS[@]}" >"$share/arguments"
        [ ${#BOOT_ARGUMENTS[@]} -gt 0 ] || : >"$share/arguments"
        for file in "${BOOT_FILES[@]}"; do
                cp -r "$file" "$share/"
        done
        ln "$KERNEL_PIECE/vmlinux" "$TOOLS_PIECE"/* "$share/"
        [ -z "$BOOT_INSTALL" ] || boot_install "$share/install"
        echo "${BOOT_ENABLE[*]}" >"$share/enable"
        # The guest gives up first, so that it can still tell why.
        echo $((BOOT_TIMEOUT - 20)) >"$share/timeout"
        : >"$share/output"
}

# boot_serve TAG FOLDER CACHE: one virtiofsd, which ends with the QEMU that it serves; adds QEMU's arguments for it to
# BOOT_SHARES.
boot_serve() {
        local socket=$BOOT_RUN/$1.sock tries

        rm -f "$socket"
        /usr/lib/qemu/virtiofsd --socket-path="$socket" -o "source=$2" -o sandbox=chroot -o "cache=$3" -o xattr \
                --thread-pool-size=2 >"$BOOT_RUN/virtiofsd-$1.log" 2>&1 &
        BOOT_SERVERS+=("$!")
        for tries in {1..200}; do
                [ ! -S "$socket" ] || break
                [ "$tries" -lt 200 ] || die "virtiofsd does not start: $(tail -n 3 "$BOOT_RUN/virtiofsd-$1.log")"
                sleep 0.02
        done
        BOOT_SHARES+=(-chardev "socket,id=$1,path=$socket" -device "vhost-user-fs-pci,chardev=$1,tag=$1")
}

# Drivers of the emulated machine that no test wants are kept away by the guest's modprobe.d; the rest of what makes the
# boot short is here. "mitigations=off": they cost a quarter of the time and guard nothing in an emulated machine.
boot_qemu() {
        local machine=q35,memory-backend=memory iommu=() initrd=() disk=()
        local append="console=ttyS0 root=root rootfstype=virtiofs ro init=/usr/lib/rig/init mitigations=off tsc=reliable
                no_timer_check random.trust_cpu=on cryptomgr.notests raid=noautodetect rcupdate.rcu_expedited=1
                nmi_watchdog=0 audit=0 apparmor=0 panic=-1 net.ifnames=0"

        if [ -n "$BOOT_IOMMU" ]; then
                machine+=,kernel-irqchip=split
                # Without interrupt remapping the kernel's type1 driver refuses to serve.
                iommu=(-device "intel-iommu,intremap=on,caching-mode=on")
                append+=" intel_iommu=on"
        fi
        [ -z "$INITRD_PIECE" ] || initrd=(-initrd "$INITRD_PIECE/initrd")
        # What the guest has written outlives it, as QEMU hands it to this kernel at once; a flush to the medium would be
        # for a power cut of the host.
        if [ -n "$BOOT_DISK" ]; then
                disk=(-drive "if=none,id=disk,format=raw,cache=unsafe,file=$BOOT_RUN/disk" -device "virtio-blk-pci,drive=disk")
                append+=" rig.disk=$BOOT_DISK"
        fi
        timeout -k 5 "$BOOT_TIMEOUT" qemu-system-x86_64 \
                -accel tcg,thread=multi,tb-size=512 -cpu max -M "$machine" -smp "$BOOT_CPUS" -m "$BOOT_MEMORY" \
                -nodefaults -no-user-config -no-reboot -display none \
                -object "memory-backend-memfd,id=memory,size=${BOOT_MEMORY}M,share=on" \
                -chardev stdio,id=console,signal=off -device isa-serial,chardev=console \
                "${iommu[@]}" "${disk[@]}" "${BOOT_SHARES[@]}" "${BOOT_DEVICES[@]}" \
                -kernel "$KERNEL_PIECE/vmlinux" "${initrd[@]}" -append "$(xargs <<<"$append ${BOOT_APPEND[*]}")" \
                >"$BOOT_RUN/console" 2>"$BOOT_RUN/qemu.log" </dev/null
}

boot_stop() {
        [ ${#BOOT_SERVERS[@]} -eq 0 ] || kill "${BOOT_SERVERS[@]}" 2>/dev/null || true
        [ -z "${BOOT_MACHINE:-}" ] || kill "$BOOT_MACHINE" 2>/dev/null || true
        rm -f "$BOOT_RUN/pid"
}

# A run is going on in this folder: it names the rig's process.
boot_alive() {
        [ -e "$1/pid" ] && kill -0 "$(cat "$1/pid")" 2>/dev/null
}

boot_any_alive() {
        local run

        for run in "$CACHE"/runs/*/; do
                ! boot_alive "$run" || return 0
        done
        return 1
}

# The machine gave no result, or a bad one: what a person needs first.
boot_explain() {
        local file

        for file in console qemu.log share/journal; do
                [ -s "$BOOT_RUN/$file" ] || continue
                say "the end of $BOOT_RUN/$file:"
                tail -n 40 "$BOOT_RUN/$file" | tr -d '\r' | sed 's/\x1b\[[0-9;?]*[a-zA-Z]//g; s/^/    /' >&2
        done
}

# The youngest few folders of failed runs are worth keeping, not all.
boot_prune() {
        local old

        find "$CACHE/runs" -mindepth 1 -maxdepth 1 -printf '%T@ %p\n' | sort -rn | cut -d' ' -f2- | tail -n +6 | while read -r old; do
                boot_alive "$old" || rm -rf "$old"
        done
}

# From power-on to power-off; returns QEMU's status. What the script has printed before this boot was seen.
boot_once() {
        local seen qemu=0

        seen=$(wc -l <"$BOOT_RUN/share/output")
        BOOT_SERVERS=() BOOT_SHARES=()
        # The root never changes while it is served; the share does, on both sides.
        boot_serve root "$ROOT_PIECE" always
        boot_serve share "$BOOT_RUN/share" none

        boot_qemu &
        BOOT_MACHINE=$!
        tail -q -n +$((seen + 1)) -f -s 0.2 --pid="$BOOT_MACHINE" "$BOOT_RUN/share/output" &
        wait "$BOOT_MACHINE" || qemu=$?
        wait "$!" || true
        BOOT_MACHINE=
        return "$qemu"
}

boot_run() {
        local start=$SECONDS qemu=0 status

        boot_prune
        BOOT_RUN=$(mktemp -d "$CACHE/runs/$(date +%H%M%S).XXXX")
        echo $$ >"$BOOT_RUN/pid"
        BOOT_SERVERS=()
        trap boot_stop EXIT
        trap 'exit 130' INT
        trap 'exit 143' TERM HUP

        boot_share "$BOOT_RUN/share"
        if [ -n "$BOOT_DISK" ]; then
                BOOT_DISK=new
                truncate -s 1G "$BOOT_RUN/disk"
        fi
        boot_once || qemu=$?
        while [ -n "$BOOT_DISK" ] && [ -e "$BOOT_RUN/share/again" ]; do
                rm "$BOOT_RUN/share/again"
                BOOT_DISK=kept
                qemu=0
                boot_once || qemu=$?
        done

        if [ -s "$BOOT_RUN/share/status" ]; then
                status=$(cat "$BOOT_RUN/share/status")
        elif [ "$qemu" -eq 124 ] || [ "$qemu" -eq 137 ]; then
                say "the machine was ended after $BOOT_TIMEOUT s"
                status=124
        else
                say "the machine ended without a result (QEMU: $qemu)"
                status=125
        fi

        if [ "$status" -eq 0 ] && [ -z "$BOOT_KEEP" ]; then
                rm -rf "$BOOT_RUN"
        elif [ "$status" -eq 0 ]; then
                say "kept $BOOT_RUN"
        else
                boot_explain
                say "$(basename "$BOOT_SCRIPT"): status $status after $((SECONDS - start)) s; all of it is in $BOOT_RUN"
                # A suite's count is its last line, and should be the last to be seen.
                tail -n 1 "$BOOT_RUN/share/output"
        fi
        exit "$status"
}
