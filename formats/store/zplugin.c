// The zstd filter as a plugin for other programs' libhdf5 (h5dump, h5py): put the folder of
// libh5zstd.so on HDF5_PLUGIN_PATH.
#include "formats/store/zfilter.h"
#include <H5PLextern.h>

static const H5Z_class2_t zstd_class = {
    .version = H5Z_CLASS_T_VERS,
    .id = ZFILTER_ID,
    .encoder_present = 1,
    .decoder_present = 1,
    .name = "zstd",
    .filter = zfilter_callback,
};

H5PL_type_t H5PLget_plugin_type(void) {
    return H5PL_TYPE_FILTER;
}

const void *H5PLget_plugin_info(void) {
    return &zstd_class;
}
