/* Prints one line from the library; the names below are the program's own, and must not meet the library's internal ones. */
#include <mray/status.h>
#include <stdio.h>
#include <string.h>

int base_error(int x);
int base_error(int x)
{
    return x + 1;
}

int main(void)
{
    if (strcmp(mray_status_text(MRAY_OK), "success") != 0 || base_error(1) != 2) return 1;
    printf("mray says: %s\n", mray_status_text(MRAY_OK));
    return 0;
}
