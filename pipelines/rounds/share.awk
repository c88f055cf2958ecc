# Rows share, share + shares, share + 2 shares ... of a CSV file, below its header. A row goes on where
# a quote is open.
{
    row = open ? row "\n" $0 : $0
    open = gsub(/"/, "&", row) % 2
    if (open) next
    if (!n || n % shares == share % shares) print row
    n++
}
