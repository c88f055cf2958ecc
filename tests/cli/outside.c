// outside HOW FILE COLUMN TARGET: makes a dataset of FILE, in place, stand for bytes that are not
// in the file. HOW: external (storage in TARGET), link (an external link into the HDF5 file
// TARGET), soft (a soft link to the dataset TARGET), virtual (a mapping onto TARGET's dataset),
// gzip (another filter than ours; TARGET is ignored).
#include "common/base/mem.h"
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(bool ok) {
    if (ok) return;
    fprintf(stderr, "outside: libhdf5 fails\n");
    exit(1);
}

static void replace(hid_t file, const char *column, hid_t type, hsize_t n, hid_t list) {
    hid_t space = H5Screate_simple(1, &n, NULL);
    check(H5Ldelete(file, column, H5P_DEFAULT) >= 0);
    hid_t d = H5Dcreate2(file, column, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    check(d >= 0 && H5Dclose(d) >= 0 && H5Sclose(space) >= 0 && H5Pclose(list) >= 0);
}

int main(int argc, char **argv) {
    check(argc == 5);
    const char *how = argv[1], *column = argv[3], *target = argv[4];
    hid_t file = H5Fopen(argv[2], H5F_ACC_RDWR, H5P_DEFAULT);
    check(file >= 0);
    hid_t d = H5Dopen2(file, column, H5P_DEFAULT), type = H5Dget_type(d), space = H5Dget_space(d);
    hsize_t n = (hsize_t)H5Sget_simple_extent_npoints(space);
    hid_t list = H5Pcreate(H5P_DATASET_CREATE);
    H5Dclose(d);
    if (!strcmp(how, "external")) {
        check(H5Pset_external(list, target, 0, n * H5Tget_size(type)) >= 0);
        replace(file, column, type, n, list);
    } else if (!strcmp(how, "virtual")) {
        check(H5Pset_virtual(list, space, target, column, space) >= 0);
        replace(file, column, type, n, list);
    } else if (!strcmp(how, "gzip")) {
        check(H5Pset_chunk(list, 1, &n) >= 0 && H5Pset_deflate(list, 1) >= 0);
        replace(file, column, type, n, list);
    } else {
        check(H5Ldelete(file, column, H5P_DEFAULT) >= 0);
        check(!strcmp(how, "soft")
                  ? H5Lcreate_soft(target, file, column, H5P_DEFAULT, H5P_DEFAULT) >= 0
                  : H5Lcreate_external(target, column, file, column, H5P_DEFAULT, H5P_DEFAULT) >=
                        0);
    }
    check(H5Fclose(file) >= 0);
    return 0;
}
