// The version of the programs; created_by in every file, and what --version prints.
#pragma once

#define ALIGNDISTIL_VERSION "0.1.0"
