// How a page looks: readable on a telephone and on a wide screen, in the light and in the dark.
#pragma once

extern const char page_style[]; // CSS; the colours of plots are plot_style()
