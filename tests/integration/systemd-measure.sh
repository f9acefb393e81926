#!/bin/bash
# PCR 11 as systemd's own systemd-measure computes it, of an image that binutils put together.
set -u
no_pki=1
. "$(dirname "$0")/lib.sh"

peer=/usr/lib/systemd/systemd-measure
[ -x $peer ] || skip_all no-systemd-measure "$peer is not there"
cd "$work" || exit 99
"$build/tests/unit/measure/measure_make_image" uki >stub
head -c 100001 /dev/urandom >linux
head -c 30003 /dev/urandom >initrd
head -c 1000 /dev/urandom >splash
head -c 2001 /dev/urandom >dtb
printf 'ID=test\nVERSION_ID="1"\n' >osrel
printf 'root=/dev/vda1 console=hvc0 \n' >cmdline
printf -- '-----BEGIN PUBLIC KEY-----\n' >pcrpkey
at=$((0x1000000))
image() { # SECTION...: with these and no others
    local arguments=() name
    for name in linux initrd splash dtb osrel cmdline pcrpkey uname sbat; do arguments+=(--remove-section ".$name"); done
    objcopy "${arguments[@]}" stub plain
    arguments=()
    for name in "$@"; do
        arguments+=(--add-section ".$name=$name" --change-section-vma ".$name=$at")
        at=$((at + 0x100000))
    done
    objcopy "${arguments[@]}" plain image.efi
}
ours() { # of these phases
    local arguments=() path
    for path in enter-initrd enter-initrd:leave-initrd enter-initrd:leave-initrd:sysinit enter-initrd:leave-initrd:sysinit:ready; do
        arguments+=(--phases "$path")
    done
    measure vtpm --uki image.efi "${arguments[@]}" | sed -n 's/^pcr11 //p'
}
theirs() {
    local arguments=() name
    for name in "$@"; do arguments+=("--$name=$name"); done
    $peer calculate --bank=sha256 "${arguments[@]}" 2>/dev/null | sed -n 's/^11:sha256=//p'
}
for sections in "linux" "linux initrd" "linux osrel cmdline initrd" "pcrpkey dtb splash initrd cmdline osrel linux"; do
    image $sections
    check "an answer for $sections" equal "$(theirs $sections | wc -l)" 4
    check "the same of $sections" equal "$(ours)" "$(theirs $sections)"
done
image linux osrel
check "another image, another value" [ "$(ours)" != "$(theirs linux cmdline)" ]
finish
