# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# rig: --intel-iommu --sriov --disk --timeout 900
#
# Virtual functions of a real device, behind a real IOMMU: enabled, handed over, given to a guest within the guest and
# given back, with three drivers: the device's own, which provisions nothing (backend sriov), and two that have what
# Intel's xe and NVIDIA's vGPU host driver show in sysfs. Then a reboot, and a card that is unplugged.

# shellcheck source=sriov.sh
. /rig/guest/sriov.sh

one_gpu() {
        equals "$PF" rows ListGpus '.[0]'
}

# Both functions work: with the queues that their controller has given them their driver takes them.
functions_online() {
        local n

        wait_for "$PATIENCE" test -e /dev/nvme0 >/dev/null
        for n in 1 2; do
                "$RIG/nvme-online" /dev/nvme0 "$n" || return
                write /sys/bus/pci/drivers_probe "$(vf "$n")" || return
                wait_for "$PATIENCE" equals nvme driver_of "$(vf "$n")" || return
        done
}

held_by_guest() {
        call DestroyVGpu "$1" '{}' 2>&1 | grep -E "org\.mdevgpu1\.Error\.InUse.*\b$(pgrep -P "$NESTED_PID")\b"
}

profile_of() {
        cat "$PCI/$PF/sriov_admin/vf$1/profile/$2"
}

current_type() {
        cat "$PCI/$(vf "$1")/nvidia/current_vgpu_type"
}

first_boot() {
        local ours other

        check_output "the machine has a card with virtual functions" 4 cat "$PCI/$PF/sriov_totalvfs"
        check "systemctl enable --now" systemctl enable --now "$UNIT"
        modprobe -a vfio_iommu_type1 vfio-pci pci-pf-stub
        personality nvme
        check_soon "it is on the bus, and ready" equals ready rows ListGpus "select(.[0] == \"$PF\") | .[3]"
        check_equal "served by" sriov "$(gpu_backend)"
        check_equal "it can have four" 4 "$(gpu_property Gpu.Sriov MaxVfs)"
        check_equal "and has none" 0 "$(gpu_property Gpu.Sriov NumVfs)"
        check_equal "so none can be had" 0 "$(type_of vfio-pci-vf 5)"
        check_output "for a reason" 'none of its 4 virtual functions is enabled' type_reason vfio-pci-vf

        heading "Enabled"
        check "mdevgpuctl vfs" mdevgpuctl vfs "$PF" 2
        check_equal "the kernel has made two" 2 "$(cat "$PCI/$PF/sriov_numvfs")"
        check_equal "the bus says so" 2 "$(gpu_property Gpu.Sriov NumVfs)"
        check "brought online their driver takes them" functions_online
        check_equal "they are of a GPU's class" "0x030200 0x030200" "$(cat "$PCI/$(vf 1)/class" "$PCI/$(vf 2)/class" | xargs)"
        check "but no GPUs" one_gpu
        check_soon "two can be had" equals 2 type_of vfio-pci-vf 5
        check_fails "the whole card cannot" 'Busy.*2 virtual functions' call CreateVGpu "$PF" vfio-pci "" '{}'

        heading "Handed over"
        ours=$(create_vf "$PF" vfio-pci-vf "{'label': <'one'>}")
        other=$(create_vf "$PF" vfio-pci-vf)
        check_equal "vfio-pci has them" "vfio-pci vfio-pci" "$(driver_of "$(vf 1)") $(driver_of "$(vf 2)")"
        check_equal "they are of their GPU" "$PF $PF" "$(rows ListVGpus '.[1]' | xargs)"
        check_equal "a function" "vf $(vf 1)" "$(vgpu_property "$ours" Kind) $(vgpu_property "$ours" Parent)"
        check_equal "and the next one" "$(vf 2)" "$(vgpu_property "$other" Parent)"
        check_equal "its group" "$(basename "$(readlink "$PCI/$(vf 1)/iommu_group")")" "$(vgpu_property "$ours" IommuGroup)"
        check_fails "there is no third one" 'NoInstances' call CreateVGpu "$PF" vfio-pci-vf "" '{}'
        check_fails "nor may their number change" '(Busy|has vGPUs)' mdevgpuctl vfs "$PF" 4
        check_equal "nor does it" 2 "$(cat "$PCI/$PF/sriov_numvfs")"
        check_equal "for QEMU" "-device vfio-pci,sysfsdev=$PCI/$(vf 1)" "$(mdevgpuctl attachment "$ours" --format qemu)"

        heading "A guest that has both"
        nested_start "$(vf 1)" "$(vf 2)" --
        check_soon "QEMU opens them" held_by_anybody
        check "DestroyVGpu is refused, and names it" held_by_guest "$ours"
        check_fails "nor can they be taken from under it" 'Busy|has vGPUs' mdevgpuctl vfs "$PF" 0
        check "systemctl restart" systemctl restart "$UNIT"
        check_equal "both are known by their UUIDs" "$(printf '%s\n' "$ours" "$other" | sort)" "$(rows ListVGpus '.[0]' | sort)"
        check_equal "ours, with its label" "true one" "$(vgpu_property "$ours" Managed) $(vgpu_property "$ours" Label)"
        check "the guest comes up" nested_wait
        check_equal "it sees two" 2 "$(tr -d '\r' <"$NESTED_OUTPUT" | grep -c '^pci .* id=1b36:0010 ')"

        heading "Given back"
        check_soon "DestroyVGpu" call DestroyVGpu "$ours" '{}'
        check_equal "its driver has it again" nvme "$(driver_of "$(vf 1)")"
        check_equal "the other one is as it was" vfio-pci "$(driver_of "$(vf 2)")"
        check "so is that" call DestroyVGpu "$other" '{}'
        check_equal "no claim is left" "" "$(ls /run/mdevgpud/claims)"
        check "mdevgpuctl vfs 0" mdevgpuctl vfs "$PF" 0
        check "they are gone" test ! -e "$PCI/$PF/virtfn0"

        xe_driver
        nvidia_driver
}

xe_driver() {
        local ours

        heading "xe's attributes"
        personality xe
        check_soon "served by" equals xe gpu_backend
        check "mdevgpuctl vfs" mdevgpuctl vfs "$PF" all
        check_soon "four can be had" equals 4 type_of vfio-pci-vf 5
        ours=$(create_vf "$PF" vfio-pci-vf "{'attrs': <[('exec_quantum_ms', '20'), ('sched_priority', 'high')]>}")
        check_equal "vfio-pci has it" vfio-pci "$(driver_of "$(vf 1)")"
        check_equal "its quantum" 20 "$(profile_of 1 exec_quantum_ms)"
        check_equal "its priority" "low normal [high]" "$(profile_of 1 sched_priority)"
        check_fails "what xe does not know" 'NotSupported.*exec_quantum_ms' \
                call CreateVGpu "$PF" vfio-pci-vf "" "{'attrs': <[('colour', 'red')]>}"
        check_fails "what it refuses" 'DriverRejected.*EINVAL' \
                call CreateVGpu "$PF" vfio-pci-vf "" "{'attrs': <[('sched_priority', 'red')]>}"
        check_equal "nothing came of those" "$ours" "$(rows ListVGpus '.[0]')"
        check_equal "and no function is left behind" "" "$(driver_of "$(vf 2)")"
        check "DestroyVGpu" call DestroyVGpu "$ours" '{}'
        check_equal "it has no driver, as before" "" "$(driver_of "$(vf 1)")"
        check_equal "the next one does not inherit its profile" "0 [low] normal high" \
                "$(profile_of 1 exec_quantum_ms) $(profile_of 1 sched_priority)"
}

nvidia_driver() {
        local ours

        heading "NVIDIA's attributes"
        personality nvidia
        sriov_manage_install
        check_soon "the driver has it" equals nvidia driver_of "$PF"
        check_fails "some of the functions cannot be enabled" 'all 4.*or none' mdevgpuctl vfs "$PF" 2
        check "all can" mdevgpuctl vfs "$PF" all
        check_equal "they are there, with the driver" "nvidia nvidia" "$(driver_of "$(vf 1)") $(driver_of "$(vf 4)")"
        check_soon "served by" equals nvidia-vfio gpu_backend
        check_equal "the types of its lists" $'nvidia-1145 NVIDIA RIG-1Q\nnvidia-1146 NVIDIA RIG-2Q\nnvidia-1147 NVIDIA RIG-4Q' \
                "$(rows ListTypes 'select(.[1] | startswith("nvidia-")) | .[1] + " " + .[2]' | sort)"
        check_fails "a function without a type is nothing to open" '.' "$RIG/vfio-hold" "$(vf 1)"
        ours=$(create_vf "$PF" nvidia-1146 "{'attrs': <[('vgpu_params', 'frame_rate_limiter=0')]>}")
        check_equal "the type is written" 1146 "$(current_type 1)"
        check_equal "and the parameters" "frame_rate_limiter=0" "$(cat "$PCI/$(vf 1)/nvidia/vgpu_params")"
        check_equal "it stays with its driver" nvidia "$(driver_of "$(vf 1)")"
        check_equal "what is too big for the rest cannot be had" 0 "$(type_of nvidia-1147 5)"
        check_fails "indeed" 'NoInstances' call CreateVGpu "$PF" nvidia-1147 "" '{}'
        check "what fits can" create_vf "$PF" nvidia-1146
        check_equal "on the next function" 1146 "$(current_type 2)"
        check_fails "the card is full" 'NoInstances' call CreateVGpu "$PF" nvidia-1145 "" '{}'
        check "somebody holds it" hold "$(vf 1)"
        check_fails "DestroyVGpu is refused, and names the process" "org\.mdevgpu1\.Error\.InUse.*\b$HOLDER\b" \
                call DestroyVGpu "$ours" '{}'
        let_go
        check "let go, it is destroyed" call DestroyVGpu "$ours" '{}'
        check_equal "the type is taken back" 0 "$(current_type 1)"
        check "by somebody else" write "$PCI/$(vf 3)/nvidia/current_vgpu_type" 1145
        check_soon "mdevgpuctl reload" mdevgpuctl reload
        check_equal "that is seen, and not ours" false \
                "$(vgpu_property "$(rows ListVGpus 'select(.[2] == "nvidia-1145") | .[0]')" Managed)"
}

# The functions are enabled, and the vGPU is started, by the daemon alone. (Not with nvme: of a card that is unplugged it
# leaves the functions behind, which the kernel does not forgive when it is plugged in again; kernel 6.12.)
prepare_reboot() {
        heading "Defined"
        personality xe
        echo "options vf_gpu personality=xe" >>/etc/modprobe.d/sriov.conf
        cat >/etc/mdevgpud/mdevgpud.yaml <<YAML
version: 1
sriov:
  - {match: {address: "$PF"}, vfs: 2}
YAML
        check "mdevgpuctl reload" mdevgpuctl reload
        check "mdevgpuctl vfs" mdevgpuctl vfs "$PF" 2
        new_uuid >/root/uuid
        check "DefineVGpu" define "$(vf 2)" vfio-pci-vf "$(cat /root/uuid)" "{'autostart': <true>, 'label': <'kept'>}"
        check_output "it is written down" '"kind": *"vf"' grep -h . "/etc/mdevgpud/vgpus.d/$(vf 2)/$(cat /root/uuid)"
        printf '%s\n' vf_gpu vfio-pci vfio_iommu_type1 >/etc/modules-load.d/sriov.conf
        sync
}

second_boot() {
        local uuid

        uuid=$(cat /root/uuid)
        heading "After a reboot"
        check_soon "the functions are enabled" equals 2 gpu_property Gpu.Sriov NumVfs
        check_soon "the vGPU is started" in_state "$uuid" active
        check_equal "on the function that it is defined for" vfio-pci "$(driver_of "$(vf 2)")"
        check_equal "with its label" kept "$(vgpu_property "$uuid" Label)"

        heading "Unplugged"
        check "the card is taken away" write "$PCI/$PF/remove" 1
        check_soon "no GPU is left" equals "" rows ListGpus
        check_soon "the definition is" in_state "$uuid" defined
        check "it is plugged in again" write /sys/bus/pci/rescan 1
        check_soon "its functions are enabled" equals 2 gpu_property Gpu.Sriov NumVfs
        check_soon "the vGPU is started" in_state "$uuid" active
        check "UndefineVGpu" call UndefineVGpu "$uuid" '{}'
        check "DestroyVGpu" call DestroyVGpu "$uuid" '{}'
        check "nothing is left" equals "" rows ListVGpus
}

if [ "$BOOT" -eq 1 ]; then
        first_boot
        prepare_reboot
        check_peace
        machine_reboot
fi
second_boot
check_peace
finish
