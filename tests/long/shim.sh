# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# In the machine: the shim's tests under a kernel that looks for mistakes; then everything at once, at random.
# Arguments: seconds, seed.

# shellcheck source=../vm/guest/lib.sh
. /rig/guest/lib.sh
# shellcheck source=../vm/guest/shim.sh
. /rig/guest/shim.sh

seconds=$1 seed=$2
PATIENCE=120
PROGRAM_TIMEOUT=$((seconds + 400))
DEBUG=/sys/kernel/debug

heading "Linux $(uname -r)"
mountpoint -q $DEBUG || mount -t debugfs debugfs $DEBUG
check "with KASAN" grep -q ' kasan_report$' /proc/kallsyms
check "with lockdep" test -e /proc/lockdep_stats
check "with kmemleak" test -e $DEBUG/kmemleak
check "with failing allocations" test -e $DEBUG/failslab -a -e /proc/thread-self/fail-nth
check "has found nothing while it booted" not kernel_complains
kernel_leaks >/dev/null
echo clear >$DEBUG/kmemleak
# An allocation that may wait fails, too, and nothing is printed about it.
echo N >$DEBUG/failslab/ignore-gfp-wait
echo 0 >$DEBUG/failslab/verbose
echo 0 >$DEBUG/fail_page_alloc/verbose

heading "The shim's tests"
modprobe -a vfio_iommu_type1 mdev
check "modprobe" modprobe mdevgpu_ref ngpu=2
check_soon "nodes" test -c /dev/mdevgpu/gpu0 -a -c /dev/mdevgpu/gpu1
program shim-types gpu0
program shim-live gpu0
program shim-vfio gpu0
program shim-engine gpu0
program shim-cdev gpu0
program shim-compat
program shim-migrate gpu0
program shim-event gpu0
check_soon "the GPU is back" test -c /dev/mdevgpu/gpu0
program shim-abi gpu0
check "modprobe, for types that may come under vGPUs" modprobe mdevgpu_ref add_live=1
check_soon "its node" test -c /dev/mdevgpu/gpu0
program shim-live gpu0
check "rmmod" rmmod mdevgpu_ref mdevgpu
check "the kernel has found nothing" not kernel_complains
check "and no leak" not kernel_leaks

heading "Everything at once, at random, for $seconds s (seed $seed)"
check "modprobe" modprobe mdevgpu_ref ngpu=2
program shim-abuse "$((seconds * 2 / 3))" "$seed" "$(modinfo -n mdevgpu_ref)"
rmmod mdevgpu_ref 2>/dev/null
check "modprobe, with types that come under vGPUs" modprobe mdevgpu_ref ngpu=2 add_live=1
program shim-abuse "$((seconds / 3))" "$((seed + 1))"
check "rmmod" rmmod mdevgpu_ref mdevgpu
check "the kernel has found nothing" not kernel_complains
check "and no leak" not kernel_leaks

finish
