/* Nodes of device paths as text: attestation-service.md 14.5. */
#include "eventlog/device_path.h"
#include "base/encode.h"
#include "tap.h"

int main(void)
{
    const struct {
        const char *name;
        uint8_t type, subtype;
        const char *payload, *text;
    } rows[] = {
        {"PCI", 1, 1, "0104", "Pci(1,4)"},
        {"PCI, cut", 1, 1, "01", "Path(1,1,01)"},
        {"hardware of another kind", 1, 4, "0001", "Path(1,4,0001)"},
        {"ACPI", 2, 1, "d041080a07000000", "ACPI(PNP0A08,7)"},
        {"ACPI, longer than its fields", 2, 1, "d041080a0700000000", "ACPI(PNP0A08,7)"},
        {"ACPI, cut", 2, 1, "d041080a070000", "Path(2,1,d041080a070000)"},
        {"ACPI, expanded", 2, 2, "d041080a", "Path(2,2,d041080a)"},
        {"USB", 3, 5, "0203", "USB(2,3)"},
        {"MAC", 3, 0x0b, "52540012ab00000000000000000000000000000000000000000000000000000001",
         "Mac(52540012AB,0x01)"},
        {"MAC of another length", 3, 0x0b,
         "52540012ab0000000000000000000000000000000000000000000000000000000100",
         "Path(3,11,52540012ab0000000000000000000000000000000000000000000000000000000100)"},
        {"IPv4", 3, 0x0c, "0200000a0100000a000050001100000000000000000000",
         "IPv4(10.0.0.1,UDP,DHCP,10.0.0.2)"},
        {"IPv4 with gateway and mask", 3, 0x0c, "0200000a0100000a00005000060001fe00000a00ffffff",
         "IPv4(10.0.0.1,TCP,Static,10.0.0.2,167772414,4294967040)"},
        {"IPv4 of UEFI 2.0, without them", 3, 0x0c, "0200000a0100000a0000500006000100",
         "Path(3,12,0200000a0100000a0000500006000100)"},
        {"Fibre Channel Ex: bytes, not numbers", 3, 0x15, "00a1b2c3d4e5f607f0e1d2c3b4a59687",
         "FibreEx(0x00a1b2c3d4e5f607,0xf0e1d2c3b4a59687)"},
        {"Fibre Channel Ex as UEFI lays it out", 3, 0x15,
         "00000000a1b2c3d4e5f60718f0e1d2c3b4a59687",
         "FibreEx(0x00000000a1b2c3d4,0xe5f60718f0e1d2c3)"},
        {"Fibre Channel Ex, cut", 3, 0x15, "00a1b2c3d4e5f607f0e1d2c3b4a596",
         "Path(3,21,00a1b2c3d4e5f607f0e1d2c3b4a596)"},
        {"NVMe", 3, 0x17, "01000000", "Path(3,23,01000000)"},
        {"disk, GPT", 4, 1,
         "0200000000080000000000000010000000000000"
         "78563412bc9af0de1122334455667788"
         "0202",
         "HD(2,GPT,12345678-9ABC-DEF0-1122-334455667788,0x800,0x1000)"},
        {"disk, MBR", 4, 1,
         "0100000000080000000000000010000000000000"
         "efbeadde000000000000000000000000"
         "0101",
         "HD(1,MBR,0xdeadbeef,0x800,0x1000)"},
        {"disk, whole", 4, 1,
         "0000000000080000000000000010000000000000"
         "efbeadde000000000000000000000000"
         "0101",
         "HD(0,MBR,0xdeadbeef)"},
        {"disk without a signature", 4, 1,
         "0100000000080000000000000010000000000000"
         "00000000000000000000000000000000"
         "0100",
         "HD(1,MBR,0x00000000,0x800,0x1000)"},
        {"disk of another format", 4, 1,
         "0100000000080000000000000010000000000000"
         "00000000000000000000000000000000"
         "0300",
         "Path(4,1,0100000000080000000000000010000000000000"
         "00000000000000000000000000000000"
         "0300)"},
        {"vendor with data", 4, 3, "78563412bc9af0de1122334455667788aabb",
         "VenMedia(12345678-9ABC-DEF0-1122-334455667788,aabb)"},
        {"file", 4, 4, "5c0061000000", "File(\\a)"},
        {"file, odd", 4, 4, "5c0061", "Path(4,4,5c0061)"},
        {"file, empty", 4, 4, "", "Path(4,4,)"},
        {"BIOS", 5, 1, "80000100414200", "BBS(DEV,AB,1)"},
        {"BIOS of another type", 5, 1, "070000004142", "BBS(7,AB,0)"},
        {"BIOS with text that is none", 5, 1, "8000000041ff00", "Path(5,1,8000000041ff00)"},
        {"end", 0x7f, 0xff, "", "Path(127,255,)"},
    };
    CLEANUP(arena_done) struct arena a;
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str payload;
        CHECK_ROW(hex_bytes(&a, str_of(rows[i].payload), &payload, NULL) == OK, rows[i].name);
        struct str text = device_node_text(&a, rows[i].type, rows[i].subtype, payload);
        CHECK_ROW(str_is(text, rows[i].text), rows[i].name);
    }
    return tap_done();
}
