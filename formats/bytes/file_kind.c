#include "formats/bytes/file_kind.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static const char pandas[] = "python3 -c \"import pandas; pandas.%s('%s').to_json('%s.jsonl', "
                             "orient='records', lines=True)\"";

struct kind {
    size_t at; // of the mark
    const char *mark;
    size_t n;
    const char *name;
    const char *pandas; // its function that reads it; NULL: `way` is what to do
    const char *way;
};
#define MARK(text) text, sizeof text - 1

static const struct kind kinds[] = {
    {0, MARK("PAR1"), "Parquet", "read_parquet", NULL},
    {0, MARK("ARROW1"), "Arrow (Feather)", "read_feather", NULL},
    {0, MARK("FEA1"), "Feather", "read_feather", NULL},
    {0, MARK("ORC"), "ORC", "read_orc", NULL},
    {0, MARK("\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"), "an old Excel (or Office) file", "read_excel",
     NULL},
    {0, MARK("version https://git-lfs.github.com/spec/"), "a Git LFS pointer, not the file", NULL,
     "fetch the file with git lfs pull"},
    {0, MARK("Obj\x01"), "Avro", NULL, "convert it to JSONL"},
    {0, MARK("%PDF-"), "a PDF", NULL, "pdftotext makes text of it"},
    {0, MARK("SQLite format 3"), "an SQLite database", NULL,
     "sqlite3 -json FILE 'select * from TABLE' makes JSON of it"},
    {0, MARK("\x80\x04\x95"), "a Python pickle", NULL, "write JSONL from Python"},
    {0, MARK("\x80\x05\x95"), "a Python pickle", NULL, "write JSONL from Python"},
    {0, MARK("\x93NUMPY"), "a NumPy array", NULL, "write JSONL from Python"},
    {0, MARK("GGUF"), "a GGUF model", NULL, "models come in by import --hf"},
    {0, MARK("BZh"), "packed by bzip2", NULL, "unpack it with bunzip2"},
    {0,
     MARK("\xFD"
          "7zXZ"),
     "packed by xz", NULL, "unpack it with unxz"},
    {0, MARK("7z\xBC\xAF\x27\x1C"), "a 7z archive", NULL, "unpack it with 7z x"},
    {0, MARK("Rar!\x1A\x07"), "a RAR archive", NULL, "unpack it with unrar x"},
    {0, MARK("\x04\x22\x4D\x18"), "packed by lz4", NULL, "unpack it with unlz4"},
    {0, MARK("\x89PNG"), "an image (PNG)", NULL, "give CSV, JSONL or text"},
    {0, MARK("\xFF\xD8\xFF"), "an image (JPEG)", NULL, "give CSV, JSONL or text"},
    {0,
     MARK("\x7F"
          "ELF"),
     "a program", NULL, "give CSV, JSONL or text"},
    {257, MARK("ustar"), "a tar archive", NULL, "unpack it with tar xf and name the files in it"},
};

static bool refuse(const char *path, const char *name, const char *reader, const char *way,
                   struct fail *f) {
    if (!reader) return fail_set(f, EXIT_BADDATA, "'%s' is %s; %s", path, name, way);
    char command[400];
    snprintf(command, sizeof command, pandas, reader, path, path);
    return fail_set(f, EXIT_BADDATA, "'%s' is %s; make JSONL of it: %s", path, name, command);
}

static bool mentions(const char *bytes, size_t n, const char *what) {
    return memmem(bytes, n, what, strlen(what)) != NULL;
}

static bool zip(const char *path, const char *bytes, size_t n, struct fail *f) {
    if (mentions(bytes, n, "xl/") || mentions(bytes, n, "spreadsheet"))
        return refuse(path, "a spreadsheet (XLSX, ODS)", "read_excel", NULL, f);
    if (mentions(bytes, n, "[Content_Types].xml"))
        return refuse(path, "an Office file (XLSX, DOCX)", "read_excel", NULL, f);
    if (mentions(bytes, n, "data.pkl"))
        return refuse(path, "a PyTorch file", NULL, "write JSONL from Python", f);
    return refuse(path, "a ZIP archive", NULL, "unpack it with unzip and name the files in it", f);
}

static bool begins_page(const char *text, size_t n) {
    static const char *const tags[] = {"<!doctype html", "<html", "<head", "<body"};
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
        if (n >= strlen(tags[i]) && !strncasecmp(text, tags[i], strlen(tags[i]))) return true;
    return false;
}

static size_t blanks(const char *bytes, size_t n) {
    size_t i = 0;
    while (i < n && bytes[i] && strchr(" \t\r\n", bytes[i])) i++;
    return i;
}

static bool page(const char *path, const char *bytes, size_t n, struct fail *f) {
    size_t i = blanks(bytes, n);
    if (begins_page(bytes + i, n - i))
        return fail_set(f, EXIT_BADDATA,
                        "'%s' is HTML, a web page: was the page about the file saved, or a login "
                        "page? download the file itself",
                        path);
    return true;
}

// Marks of letters may begin a text as well: what they mark has bytes that no text has.
static bool binary(const char *bytes, size_t n) {
    for (size_t i = 0; i < n && i < 1024; i++) {
        unsigned char c = (unsigned char)bytes[i];
        if (c < 9 || (c > 13 && c < 27) || (c > 27 && c < 32)) return true;
    }
    return false;
}

static bool known(const char *path, const char *bytes, size_t n, struct fail *f) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const struct kind *k = &kinds[i];
        bool marked = n >= k->at + k->n && !memcmp(bytes + k->at, k->mark, k->n);
        if (marked && (k->n > 4 || binary(bytes, n)))
            return refuse(path, k->name, k->pandas, k->way, f);
    }
    if (n >= 4 && (!memcmp(bytes, "PK\3\4", 4) || !memcmp(bytes, "PK\5\6", 4)))
        return zip(path, bytes, n, f);
    if (n >= 8 && !memcmp(bytes, "\xFF\xFF\xFF\xFF", 4) && !bytes[7]) // a length follows
        return fail_set(f, EXIT_BADDATA,
                        "'%s' is an Arrow stream; make JSONL of it: python3 -c \"import datasets; "
                        "datasets.Dataset.from_file('%s').to_json('%s.jsonl')\"",
                        path, path, path);
    return page(path, bytes, n, f);
}

bool file_kind_text(const char *path, const char *bytes, size_t n, struct fail *f) {
    if (n >= 2 && (!memcmp(bytes, "\xff\xfe", 2) || !memcmp(bytes, "\xfe\xff", 2)))
        return fail_set(f, EXIT_BADDATA, "'%s' is UTF-16; convert it with iconv -t UTF-8", path);
    if (n >= 4 && !memcmp(bytes, "\x89HDF", 4))
        return fail_set(f, EXIT_BADDATA, "'%s' is an HDF5 file, not text; give CSV, JSONL or text",
                        path);
    size_t i = blanks(bytes, n); // a drawing is XML too, and none of a reader's rows
    if (n - i >= 5 && !memcmp(bytes + i, "<?xml", 5))
        return refuse(path, "XML", NULL, "write CSV, JSONL or text", f);
    return known(path, bytes, n, f);
}

bool file_kind_foreign(const char *path, struct fail *f) {
    char bytes[4096];
    struct stat st;
    if (stat(path, &st) || !S_ISREG(st.st_mode)) return true; // a pipe is read once only
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, bytes, sizeof bytes) : 0;
    if (fd >= 0) close(fd);
    return n <= 0 || known(path, bytes, (size_t)n, f);
}

// ---- directories --------------------------------------------------------------------------------

static bool ends(const char *name, const char *with) {
    size_t n = strlen(name), k = strlen(with);
    return n > k && !strcmp(name + n - k, with);
}

// The kind of file that the directory has and that comes first in the list.
static int kind_inside(const char *path, const char *const *endings, int n) {
    DIR *folder = opendir(path);
    int found = n;
    for (struct dirent *e; folder && (e = readdir(folder));)
        for (int i = 0; i < found; i++)
            if (ends(e->d_name, endings[i])) found = i;
    if (folder) closedir(folder);
    return found;
}

bool file_kind_no_folder(const char *path, struct fail *f) {
    static const char *const endings[] = {".arrow", ".parquet", ".jsonl", ".json", ".csv",
                                          ".tsv",   ".txt",     ".gz",    ".zst"};
    enum { N = sizeof endings / sizeof *endings };
    struct stat st;
    if (stat(path, &st) || !S_ISDIR(st.st_mode)) return true;
    int kind = kind_inside(path, endings, N);
    if (kind == 0)
        return fail_set(f, EXIT_BADDATA,
                        "'%s' is a directory with Arrow files; make JSONL of it: python3 -c "
                        "\"import datasets; datasets.load_from_disk('%s').to_json('data.jsonl')\"",
                        path, path);
    if (kind == 1)
        return fail_set(f, EXIT_BADDATA,
                        "'%s' is a directory with Parquet files; make JSONL of it: python3 -c "
                        "\"import pandas; pandas.read_parquet('%s').to_json('data.jsonl', "
                        "orient='records', lines=True)\"",
                        path, path);
    if (kind < N)
        return fail_set(f, EXIT_BADDATA, "'%s' is a directory; name the files in it: %s/*%s", path,
                        path, endings[kind]);
    return fail_set(f, EXIT_BADDATA,
                    "'%s' is a directory without a file of rows; give CSV, JSONL "
                    "or text",
                    path);
}
