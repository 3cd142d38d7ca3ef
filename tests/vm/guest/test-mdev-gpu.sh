# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Who comes from Mdev-GPU: its file alone makes types, mdev-cli does what it did, and a unit of its that is left in /etc
# runs nothing.

# shellcheck source=project.sh
. /rig/guest/project.sh

GPU=1000:00:00.0
FILE=/etc/gvm/mdev-gpu/generate-vgpu-types.yaml

registration() {
        rows ListTypes "select(.[2] == \"$1\") | .[7].registration.data"
}

names() {
        rows ListTypes '.[2]' | sort | paste -sd ' '
}

heading "Its file, and nothing else"
mkdir -p "$(dirname "$FILE")"
cat >"$FILE" <<'CONFIG'
gpus:
  - filteredGpus: [{vendorId: 0x6d67, deviceId: 0x0001, function: 0}]
    mdevConfigs:
      - {num: 530, name: Moved, maxInstances: 2, fbLen: 256, fbRes: 16, bar1Len: 1, virtDisplay: {numHeads: 2}}
      - {num: 531, maxInstances: 1, fbLen: 512, fbRes: 0, bar1Len: 1}
CONFIG
check "systemctl enable --now" systemctl enable --now "$UNIT"
check "the reference module loads" modprobe mdevgpu_ref ngpu=1
check_soon "its types are there" equals "Arc GPU Moved" names
check_equal "registered" registered "$(registration Moved)"
check_output "mdevctl sees them" "Name: Moved\$" mdevctl types
check_output "with the values of the file" "framebuffer=256M" \
        cat "/sys/class/mdev_bus/$GPU/mdev_supported_types/"*-530/description
check_output "a vGPU can be made" '^[0-9a-f-]{36}$' mdevgpuctl create "$GPU" Moved
check "and removed" mdevgpuctl destroy "$(rows ListVGpus '.[0]')"

heading "mdev-cli"
check_output "explains itself" "--config FILE" mdev-cli --help
check_fails "needs a file" "mdev-cli -c FILE" mdev-cli
cat >/root/other.yaml <<'CONFIG'
gpus: [{mdevConfigs: [{num: 7, name: Other, maxInstances: 2, fbLen: 256, fbRes: 0, bar1Len: 1}]}]
CONFIG
check_output "says what came of each type" "^$GPU [^ ]*-7 \"Other\" registered" mdev-cli -c /root/other.yaml
check_equal "the file of the command line stands in for the other" Other "$(names)"
sed 's/num: 7, name: Other/num: 8, name: Third/' /root/other.yaml >/root/third.yaml
check "another with --keep" mdev-cli --config /root/third.yaml --keep
check_equal "comes to it" "Other Third" "$(names)"
echo 'gpus: [{mdevConfigs: [{num: 0}]}]' >/root/broken.yaml
check_fails "a broken one is refused" "num: '0' is not between" mdev-cli -c /root/broken.yaml
check_equal "and changes nothing" "Other Third" "$(names)"
cat >/root/strange.yaml <<'CONFIG'
gpus: [{filteredGpus: [{vendorId: 0x1234}], mdevConfigs: [{num: 9, maxInstances: 1, fbLen: 256, fbRes: 0}]}]
CONFIG
check_fails "one that is about no GPU fails" "no GPU is there" mdev-cli -c /root/strange.yaml
check "the file in /etc again" mdev-cli -c "$FILE"
check_equal "is what there is then" "Arc GPU Moved" "$(names)"

heading "mdev-post.service"
check_equal "is another name of the daemon's unit" "$UNIT" "$(systemctl show -P Id mdev-post.service)"
check "which is active" systemctl is-active -q mdev-post.service
cat >/etc/systemd/system/mdev-post.service <<'SERVICE'
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/touch /run/mdev-post-ran
[Install]
WantedBy=multi-user.target
SERVICE
systemctl daemon-reload
check "one that was copied to /etc is started" systemctl start mdev-post.service
check "and runs nothing" test ! -e /run/mdev-post-ran
check "the daemon is as before" systemctl is-active -q "$UNIT"
check_output "doctor says so" "mdev-post.service" mdevgpuctl doctor
check "of our own mdev-cli it says nothing" not eval "mdevgpuctl doctor | grep -F /usr/bin/mdev-cli"
rm /etc/systemd/system/mdev-post.service
systemctl daemon-reload

check "the module goes" rmmod mdevgpu_ref
check_peace
finish
