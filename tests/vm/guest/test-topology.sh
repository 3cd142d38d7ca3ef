# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Topologies over the shim: applied, refused for a vGPU that is in use, killed in the middle of it, and asserted after the
# power has gone, when the default one has been applied before the service was ready. And limits, with the real bus.
# About 40 s.
# rig: --disk

# shellcheck source=project.sh
. /rig/guest/project.sh

GPU=1000:00:00.0
NAMED=6b2f6c5e-1111-4222-8333-444455556666
JOURNAL=/run/mdevgpud/state/topology/journal

config_write() {
        mkdir -p /etc/mdevgpud/types.d /etc/mdevgpud/topologies.d
        cat >/etc/mdevgpud/types.d/50-shim.yaml <<'YAML'
version: 1
match: {vendor: 0x6d67}
types:
  - {id: 1, name: Big, max-instances: 2, framebuffer: 8GiB}
  - {id: 2, name: Small, max-instances: 16, framebuffer: 1GiB}
YAML
        cat >/etc/mdevgpud/topologies.d/50-shim.yaml <<YAML
version: 1
topologies:
  mixed:
    - match: {address: "$GPU"}
      vgpus:
        - {type: Big}
        - {type: Small, uuid: $NAMED, label: web1, autostart: true}
        - {type: Small}
  small:
    - {match: {address: "$GPU"}, vgpus: [{type: Small, count: 5}]}
  none:
    - {match: {address: "$GPU"}, vgpus: []}
  much:
    - {match: {address: "$GPU"}, vgpus: [{type: Big, count: 9}]}
default: mixed
YAML
        printf '%s\n' vfio_iommu_type1 mdevgpu_ref >/etc/modules-load.d/shim.conf
        systemctl enable "$UNIT"
}

# What is there: UUIDs and types
devices() {
        vgpus_of_bus | cut -f 1,3
}

topology() {
        mdevgpuctl topology "$@"
}

# Killed when its journal is there; 2 if it was over before.
kill_in_the_middle() {
        local pid command

        pid=$(main_pid)
        [ "$pid" -gt 0 ] || return 1
        topology apply "$1" >"$EVIDENCE/apply" 2>&1 &
        command=$!
        while kill -0 "$command" 2>/dev/null; do
                if [ -e $JOURNAL ]; then
                        kill -9 "$pid"
                        wait "$command"
                        return 0
                fi
        done
        return 2
}

as_nobody() {
        setpriv --reuid nobody --regid nogroup --clear-groups "$@"
}

before_cut() {
        local vgpu before

        heading "Applied by hand"
        config_write
        drivers_load mdevgpu_ref
        check "systemctl start" systemctl start "$UNIT"
        check "the default one is there when it is ready" topology assert
        check_output "and is the active one" mixed property /org/mdevgpu1 Manager ActiveTopology
        before=$(devices)
        check_equal "three vGPUs" 3 "$(wc -l <<<"$before")"
        check "none" topology apply none
        check_equal "removes them all" "" "$(devices)"
        check_fails "what does not fit is refused whole" 'No GPU has room' topology apply much
        check_equal "and changes nothing" "" "$(devices)"
        check "the first one again" topology apply mixed
        check_equal "has the same UUIDs" "$before" "$(devices)"
        check "asserts clean" topology assert mixed

        heading "In use"
        vgpu=$(sed -n 's/\tmdevgpu_ref-1$//p' <<<"$before")
        hold "$vgpu"
        check_fails "a vGPU that is held refuses it, and is named" "vGPU $vgpu would have to go and is in use by vfio-hold" \
                topology apply none
        check_equal "nothing was changed" "$before" "$(devices)"
        let_go

        heading "kill -9 in the middle"
        check "killed" kill_in_the_middle small
        check_soon "another daemon says what was left" \
                journalctl -q -o cat -u "$UNIT" -g "The daemon ended while it applied topology 'small'"
        check_soon "all is as it was" equals "$before" devices
        check "no journal is left" not test -e $JOURNAL
        sed -i 's/^default.*/&\npolicy: {interrupted: go-on}/' /etc/mdevgpud/topologies.d/50-shim.yaml
        check "told to go on" mdevgpuctl reload
        check "killed" kill_in_the_middle small
        check_soon "another daemon goes on" topology assert small
        check "and back" topology apply mixed
        check_equal "with the same UUIDs" "$before" "$(devices)"

        heading "By hand"
        check "one is destroyed" call DestroyVGpu "$vgpu" '{}'
        check "restart" systemctl restart "$UNIT"
        check "it stays so" not has_row ListVGpus 0 "$vgpu"
        check_fails "which assert says" "create +$vgpu" topology assert
        check "exported" sh -c 'mdevgpuctl topology export now >/etc/mdevgpud/topologies.d/60-now.yaml'
        check "reload" mdevgpuctl reload
        check "what is exported asserts clean" topology assert now
        echo "$before" >/root/before
        sync
        machine_cut
}

after_cut() {
        heading "After the power cut"
        check_soon "the service runs" equals active systemctl is-active "$UNIT"
        check "the default topology is there" topology assert
        check_equal "with the same UUIDs" "$(cat /root/before)" "$(devices)"
        check_equal "before the service was ready" "Applied topology 'mixed': done" \
                "$(journalctl -b -q -o cat -u "$UNIT" | sed '/^Ready:/q' | grep '^Applied topology')"
        check "the driver goes" rmmod mdevgpu_ref
        check_soon "with its GPU" not has_row ListGpus 0 "$GPU"
        check "and comes back" modprobe mdevgpu_ref
        check_soon "so does what the topology asks for" equals "$(cat /root/before)" devices

        heading "Limits"
        cat >/etc/mdevgpud/mdevgpud.yaml <<'YAML'
version: 1
limits:
  - {group: nogroup, vgpus: 1}
policy:
  - {user: nobody, types: [Small]}
YAML
        mkdir -p /etc/polkit-1/rules.d
        echo 'polkit.addRule(function(action, subject) { return "yes"; });' >/etc/polkit-1/rules.d/10-all.rules
        check "reload" mdevgpuctl reload
        check_fails "a type that is not allowed" 'may not use type mdevgpu_ref-1 .*mdevgpud.yaml:5' \
                as_nobody mdevgpuctl create "$GPU" Big
        check "one vGPU" as_nobody mdevgpuctl create "$GPU" Small
        check_fails "and no more, by his group" "group 'nogroup' together may have 1 vGPU.*mdevgpud.yaml:3" \
                as_nobody mdevgpuctl create "$GPU" Small
        check "restart" systemctl restart "$UNIT"
        check_fails "nor after a restart" 'mdevgpud.yaml:3' as_nobody mdevgpuctl create "$GPU" Small
        check "but root may" mdevgpuctl create "$GPU" Small
        check_peace
        finish
}

case $BOOT in
1) before_cut ;;
*) after_cut ;;
esac
