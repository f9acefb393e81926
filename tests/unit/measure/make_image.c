/*
 * make_image ovmf|ovmf-without-hashes|uki|uki-257|kernel|initrd: an image of image.h on standard
 * output, for the integration test and the fuzz corpora.
 */
#include <stdio.h>

#include "image.h"

int main(int argc, char **argv)
{
    CLEANUP(buf_done) struct buf out;
    buf_init(&out, IMAGE_MAX);
    struct str what = str_of(argc == 2 ? argv[1] : "");
    CLEANUP(buf_done) struct buf code;
    buf_init(&code, IMAGE_MAX);
    image_pattern(&code, 1000, 5);
    const struct image_section text = {".text", buf_str(&code)};
    if (str_is(what, "ovmf"))
        image_ovmf(&out, 3, true);
    else if (str_is(what, "ovmf-without-hashes"))
        image_ovmf(&out, 3, false);
    else if (str_is(what, "uki"))
        image_uki(&out, 252);
    else if (str_is(what, "uki-257"))
        image_uki(&out, 257);
    else if (str_is(what, "kernel"))
        image_pe(&out, &text, 1, STR("what follows"));
    else if (str_is(what, "initrd"))
        image_pattern(&out, 3001, 4);
    else
        return 2;
    if (buf_status(&out) != OK || fwrite(out.ptr, 1, out.len, stdout) != out.len)
        return 1;
    return 0;
}
