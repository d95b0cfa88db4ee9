// Before anything is painted: the theme that was chosen here, else the system's.
{
  const chosen = localStorage.getItem("waggle.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}
